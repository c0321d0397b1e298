package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cdds/schemas"
)

// nightly is the job of each tenant. Its runs are a chain.
const nightly = "nightly"

// filters are what a job may select.
var filters = []func(r *schemas.ExportRequest){
	func(*schemas.ExportRequest) {},
	func(r *schemas.ExportRequest) { r.MediaTypes = []string{"chat"} },
	func(r *schemas.ExportRequest) { r.Queues = []string{"sales", "support"} },
	func(r *schemas.ExportRequest) { r.From.Time = r.From.AddDate(1, 0, 0) },
	func(r *schemas.ExportRequest) { r.To.Time = r.To.AddDate(-1, 0, 0) },
	func(r *schemas.ExportRequest) { r.FieldPolicy = &schemas.FieldPolicy{LeaveOut: []string{contactID}} },
	func(r *schemas.ExportRequest) {
		r.FieldPolicy, r.MediaTypes = &schemas.FieldPolicy{Pseudonym: []string{contactID}}, []string{"chat"}
	},
}

// job is what an operator has set of one.
type job struct {
	filter int
	from   schemas.Time
}

// runJob starts a run of a tenant's job: when it is due, or because somebody wants one now.
func (w *world) runJob(a, _, _ int) bool {
	t := tenant(a)
	j := w.model.jobs[t]
	r := w.requestOf(t)
	filters[j.filter](r)
	r.JobID, r.Chained, r.ChainFrom = nightly, true, j.from
	w.model.exports = append(w.model.exports, &asked{request: r, step: w.send(r)})
	return true
}

// changeJob changes what a job selects, or starts its chain over.
func (w *world) changeJob(a, b, _ int) bool {
	j := w.model.jobs[tenant(a)]
	if j.filter = b % len(filters); b%7 == 0 {
		j.from = schemas.TimeOf(w.now())
	}
	if w.model.jobs == nil {
		w.model.jobs = map[string]job{}
	}
	w.model.jobs[tenant(a)] = j
	return true
}

// again notes a run that was requested in the stead of one that was superseded.
func (m *model) again(r *schemas.ExportRequest) {
	if !slices.ContainsFunc(m.exports, func(x *asked) bool { return x.request.ExportID == r.ExportID }) {
		m.exports = append(m.exports, &asked{request: r, step: m.w.steps})
	}
}

// superseded reports whether an export is a run that holds what differs from the wrong one.
func superseded(x *asked, e schemas.Export) bool {
	return x.request.Chained && e.State == schemas.Cancelled && (strings.Contains(e.Reason, " of the chain first") || strings.Contains(e.Reason, writtenOffSince))
}

// runs are the completed runs of a tenant's job that can be opened, by number.
func (w *world) runs(tenant string) (all []opened) {
	for _, x := range w.model.exports {
		if !x.request.Chained || x.request.TenantID != tenant || w.fold(x).State != schemas.Completed {
			continue
		}
		if o, err := w.openExport(x); err == nil {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b opened) int { return cmp.Compare(a.manifest.Chain.Number, b.manifest.Chain.Number) })
	return all
}

// checkChains: the runs of a job are numbered without repetition, and each names the one before
// it and that one's manifest, unless it starts over.
func (w *world) checkChains() {
	for n := range tenants {
		var before *schemas.Manifest
		var sum string
		for _, o := range w.runs(tenant(n)) {
			c := o.manifest.Chain
			if before != nil && before.Chain.Number == c.Number {
				w.failf("two runs have a number: %s and %s have %d", before.ExportID, o.manifest.ExportID, c.Number)
			}
			if follows := before != nil && before.Chain.Number == c.Number-1; follows && !c.Whole() && (c.PreviousExportID != before.ExportID || c.PreviousManifestSHA256 != sum) {
				w.failf("a run names another one before it: run %d, %s, names %s and not %s", c.Number, o.manifest.ExportID, c.PreviousExportID, before.ExportID)
			}
			if c.Number == 1 && !c.Whole() {
				w.failf("the first run of a chain continues one: %s", c.PreviousExportID)
			}
			before, sum = o.manifest, o.sum
			w.coverage["a run of a chain is completed"]++
			if !c.Whole() {
				w.coverage["a run continues a chain"]++
			}
		}
	}
}

// requestOf asks for all that there is of a tenant.
func (w *world) requestOf(tenant string) *schemas.ExportRequest {
	_, pem := key()
	return &schemas.ExportRequest{
		TenantID: tenant, ExportID: fmt.Sprintf("e%d", len(w.model.exports)), Entity: schemas.EntityInteraction,
		From: schemas.TimeOf(time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC)), To: schemas.TimeOf(time.Date(firstYear+years, 1, 1, 0, 0, 0, 0, time.UTC)),
		SplitSize: 64 << 10, Recipients: []schemas.Recipient{{Certificate: pem}}, RequestedBy: "operator",
		RequestedAt: schemas.TimeOf(w.now()),
	}
}
