package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cdds/schemas"
)

// nightly are the jobs of each tenant: one of interactions, and one of contacts where there are
// some. The runs of each are a chain.
const nightly = "nightly"

// filters are what a job of interactions may select.
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

// contactFilters are what a job of contacts may select.
var contactFilters = []func(r *schemas.ExportRequest){
	func(*schemas.ExportRequest) {},
	func(r *schemas.ExportRequest) { r.From.Time = r.From.AddDate(1, 0, 0) },
	func(r *schemas.ExportRequest) { r.To.Time = r.To.AddDate(-1, 0, 0) },
	func(r *schemas.ExportRequest) { r.FieldPolicy = &schemas.FieldPolicy{Pseudonym: []string{contactID}} },
}

// filtersOf are those of an entity.
func filtersOf(entity string) []func(r *schemas.ExportRequest) {
	if entity == schemas.EntityContact {
		return contactFilters
	}
	return filters
}

// job is what an operator has set of one.
type job struct {
	filter int
	from   schemas.Time
}

// runJob starts a run of a tenant's job: when it is due, or because somebody wants one now.
func (w *world) runJob(a, b, _ int) bool {
	w.runOf(w.jobOf(a, b))
	return true
}

// jobOf is whose job two numbers of an act choose.
func (w *world) jobOf(a, b int) entityOf {
	return entityOf{tenant(a), schemas.EntityOf(w.source(b).of())}
}

func (w *world) runOf(of entityOf) {
	j := w.model.jobs[of]
	r := w.requestOf(of.tenant, of.entity)
	filtersOf(of.entity)[j.filter](r)
	r.JobID, r.Chained, r.ChainFrom = nightly+"-"+of.entity, true, j.from
	w.asks(r)
}

// changeJob changes what a job selects, or starts its chain over.
func (w *world) changeJob(a, b, c int) bool {
	of := w.jobOf(a, c)
	j := w.model.jobs[of]
	if j.filter = b % len(filtersOf(of.entity)); b%7 == 0 {
		j.from = schemas.TimeOf(w.now())
	}
	if w.model.jobs == nil {
		w.model.jobs = map[entityOf]job{}
	}
	w.model.jobs[of] = j
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

// runs are the completed runs of a job that can be opened, by number.
func (w *world) runs(of entityOf) (all []opened) {
	for _, x := range w.model.exports {
		if !x.request.Chained || x.of() != of || w.fold(x).State != schemas.Completed {
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
	for n := range tenants * len(w.topics) {
		var before *schemas.Manifest
		var sum string
		for _, o := range w.runs(entityOf{tenant(n), schemas.EntityOf(w.topics[n/tenants])}) {
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

// requestOf asks for all that there is of an entity of a tenant.
func (w *world) requestOf(tenant, entity string) *schemas.ExportRequest {
	_, pem := key()
	return &schemas.ExportRequest{
		TenantID: tenant, ExportID: fmt.Sprintf("e%d", len(w.model.exports)), Entity: entity,
		From: schemas.TimeOf(time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC)), To: schemas.TimeOf(time.Date(firstYear+years, 1, 1, 0, 0, 0, 0, time.UTC)),
		SplitSize: 64 << 10, Recipients: []schemas.Recipient{{Certificate: pem}}, RequestedBy: "operator",
		RequestedAt: schemas.TimeOf(w.now()),
	}
}
