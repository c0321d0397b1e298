package tracing

import (
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// chosen is the key of a context of which it stands that its trace is kept.
type chosen struct{}

// sampler says which traces that begin here are kept: those that were chosen, those
// linked to one that is kept, so that what was published is found where it was stored,
// and of others what ratio says.
type sampler struct{ ratio sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	keep := p.ParentContext.Value(chosen{}) != nil
	for _, l := range p.Links {
		keep = keep || l.SpanContext.IsSampled()
	}
	if keep {
		return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
	}
	return s.ratio.ShouldSample(p)
}

// Description implements sdktrace.Sampler.
func (s sampler) Description() string { return "ChosenOrLinkedOr{" + s.ratio.Description() + "}" }
