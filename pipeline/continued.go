package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cdds/schemas"
)

// continued is the export that a request names, or why that cannot be continued.
func (e *Exporter) continued(ctx context.Context, a Acceptance) (previous *Run, startsOver string, err error) {
	r := a.Request
	earlier, found, err := e.Accepted(ctx, r.TenantID, r.SinceExport)
	if err != nil {
		return nil, "", err
	}
	if !found || earlier.Request == nil {
		return nil, "", Permanent(fmt.Errorf("nothing is known of export %s any more, which this one continues; request a whole one", r.SinceExport))
	}
	if earlier.policy() != a.policy() {
		return nil, otherPolicy(r.SinceExport, earlier.policy(), a.policy()), nil
	}
	if earlier.Request.Names != r.Names {
		return nil, otherNames(r.SinceExport), nil
	}
	plan, _, err := e.Planned(ctx, r.TenantID, r.SinceExport)
	if err != nil {
		return nil, "", err
	}
	from := plan.HistoryFrom
	if from.IsZero() {
		from = earlier.From()
	}
	run := &Run{ExportID: r.SinceExport, Filter: earlier.Request.Filter(), Snapshot: a.Since, ErasedTo: earlier.AcceptedAt}
	if run.Filter.From.Before(from.Time) {
		run.Filter.From = from
	}
	if off, err := e.writtenOffSince(ctx, *run, false); off || err != nil {
		return nil, writtenOffSince(r.SinceExport), err
	}
	return run, "", nil
}

// otherPolicy says what differs between what two exports hide.
func otherPolicy(exportID, was, is string) string {
	wasDigest, wasKey, _ := strings.Cut(was, "/")
	digest, key, _ := strings.Cut(is, "/")
	if wasDigest == digest {
		return fmt.Sprintf("the pseudonyms of export %s were made with the key %s, and this service now has the key %s", exportID, wasKey, key)
	}
	return fmt.Sprintf("export %s was made under another field policy", exportID)
}

func otherNames(exportID string) string {
	return fmt.Sprintf("the rows of export %s have other field names", exportID)
}

// writtenOffMargin is by how much clocks of those who accept and who write off may differ.
const writtenOffMargin = time.Hour

// touching lists the write-offs of records below a snapshot. An earlier export may have such
// records. ClickHouse has lost them, so a difference shows no removal.
func (e *Exporter) touching(ctx context.Context, entity string, snapshot schemas.Snapshot) ([]schemas.WrittenOff, error) {
	topic, _ := schemas.SourceOf(entity)
	all, err := WriteOffs{e.store}.All(ctx, topic, nil)
	return schemas.Touching(all, nil, snapshot), err
}

// writeOffs is how many write-offs there are of an entity's records.
func (e *Exporter) writeOffs(ctx context.Context, entity string) (int, error) {
	topic, _ := schemas.SourceOf(entity)
	all, err := WriteOffs{e.store}.All(ctx, topic, nil)
	return len(all), err
}

func writtenOffSince(exportID string) string {
	return fmt.Sprintf("records that export %s may have were written off since", exportID)
}

// startsOver says why a run must not continue the one before, if it must not.
func (e *Exporter) startsOver(ctx context.Context, a Acceptance, previous Run) (string, error) {
	r := a.Request
	switch {
	case r.ChainFrom.After(previous.ErasedTo.Time):
		return "the chain was started over", nil
	case previous.Filter.Entity != r.Entity:
		return fmt.Sprintf("run %s is of another entity, %s", previous.ExportID, previous.Filter.Entity), nil
	case (previous.Attachments == schemas.AttachmentsNone) != r.WithoutAttachments():
		return fmt.Sprintf("run %s treats attachments differently", previous.ExportID), nil
	case previous.FieldPolicy != a.policy():
		return otherPolicy(previous.ExportID, previous.FieldPolicy, a.policy()), nil
	case previous.Names != r.Names:
		return otherNames(previous.ExportID), nil
	}
	if off, err := e.writtenOffSince(ctx, previous, true); off || err != nil {
		return writtenOffSince(previous.ExportID), err
	}
	return "", nil
}

// writtenOffSince reports whether records that an earlier export may have were written off since,
// a run of a chain or another one.
func (e *Exporter) writtenOffSince(ctx context.Context, previous Run, chained bool) (bool, error) {
	all, err := e.touching(ctx, previous.Filter.Entity, previous.Snapshot)
	if chained {
		return !slices.Equal(all, previous.WrittenOff), err
	}
	return slices.ContainsFunc(all, func(w schemas.WrittenOff) bool { return w.At.After(previous.ErasedTo.Add(-writtenOffMargin)) }), err
}

// stillContinues returns an error if nothing says any more what the export continues, though something
// did when that was decided.
func (e *Exporter) stillContinues(ctx context.Context, x Export) error {
	l := x.Link
	if l.Previous == nil {
		return nil
	}
	off, err := e.writtenOffSince(ctx, *l.Previous, l.JobID != "")
	switch reason := writtenOffSince(l.Previous.ExportID); {
	case err != nil || !off:
		return err
	case l.JobID != "":
		return Permanent(&SupersededError{Number: l.Number, Reason: reason})
	default:
		return Permanent(fmt.Errorf("%s; request another export: it holds all that is selected", reason))
	}
}
