package console

import (
	"cmp"
	"time"

	"golang.org/x/sync/errgroup"

	"cdds/pipeline/ledger"
	"cdds/schemas"
)

func (c *Console) history() {
	c.open("GET /history", c.historyList)
	c.stream("GET /history.csv", c.historyCSV)
	c.open("POST /filters", c.saveFilter)
	c.open("GET /history/{id}", c.exportPage)
	for action, do := range map[string]func(*request, string) error{
		schemas.ActionCancel: func(q *request, id string) error { return q.CancelExport(q.r.Context(), id) },
		schemas.ActionRetry:  func(q *request, id string) error { return q.RetryExport(q.r.Context(), id) },
		schemas.ActionDelete: func(q *request, id string) error { return q.DeleteExport(q.r.Context(), id) },
	} {
		c.open("POST /history/{id}/"+action, func(q *request) error {
			id := q.r.PathValue("id")
			if err := do(q, id); err != nil {
				return err
			}
			return q.goTo("/history/"+id, "export."+action)
		})
	}
}

// historyData is a page of exports.
type historyData struct {
	Rows []schemas.Export
	// Titles are those of the jobs, by id.
	Titles map[string]string
	Listing
	State, Entity, Text, From, To string
	States, Entities              []string
	// CSV fetches all exports of the filter as a file.
	CSV string
	// Saved are the filters that were saved in this browser, and Query is the one shown.
	Saved []savedFilter
	Query string
}

// columns of the list of exports that can be left out.
var exportColumns = []string{"job", "entity", "rows", "size", "requested", "by", "took"}

func (c *Console) historyList(q *request) error {
	query := q.r.URL.Query()
	d := historyData{
		State: query.Get("state"), Entity: query.Get("entity"), Text: query.Get("text"), From: query.Get("from"), To: query.Get("to"),
		States: []string{"active", "ended"}, Entities: schemas.Entities(), Titles: map[string]string{},
	}
	for _, s := range schemas.States() {
		d.States = append(d.States, string(s))
	}
	page := d.read(query, "requested_at")
	d.choose(query, exportColumns)
	d.Query, d.Saved = d.with(unset(query)...), savedFilters(q.r)
	d.CSV = Prefix + "/history.csv" + d.Query
	found, err := q.Exports(q.r.Context(), q.exportFilter(), page)
	if err != nil {
		return err
	}
	d.Rows = found.Rows
	d.next(found.Next)
	jobs, err := q.Jobs(q.r.Context())
	if err != nil {
		return err
	}
	for _, j := range jobs {
		d.Titles[j.JobID] = j.Title
	}
	return c.show(q, "history", view{Title: "History", At: "/history", Live: "2s", Data: d})
}

// exportFilter is the filter that a query names.
func (q *request) exportFilter() ledger.ExportFilter {
	get := q.r.URL.Query().Get
	f := ledger.ExportFilter{Entity: get("entity"), Text: get("text"), JobID: get("job"), From: q.since(get("from")), To: q.until(get("to"))}
	switch state := get("state"); state {
	case "":
	case "active":
		f.States = active()
	case "ended":
		for _, s := range schemas.States() {
			if s.Ended() {
				f.States = append(f.States, string(s))
			}
		}
	default:
		f.States = []string{state}
	}
	return f
}

// called is what people call an export: its job and when it was requested.
func called(e schemas.Export, titles map[string]string, zone *time.Location) string {
	name := "One-off export"
	switch {
	case e.Request == nil:
	case len(e.Request.Contacts) > 0:
		name = "Access request"
	case e.Request.JobID != "":
		name = "Run"
		if titles != nil {
			name = cmp.Or(titles[e.Request.JobID], e.Request.JobID)
		}
	}
	return name + ", " + e.RequestedAt.In(zone).Format("2 Jan 2006 15:04")
}

// since and until are the bounds that a filter names, in the reader's time zone. The day that
// a range ends with is part of it.
func (q *request) since(s string) schemas.Time {
	if day, err := time.ParseInLocation(time.DateOnly, s, q.zone); err == nil {
		return schemas.TimeOf(day)
	}
	t, _ := instantOf(s)
	return t
}

func (q *request) until(s string) schemas.Time {
	if day, err := time.ParseInLocation(time.DateOnly, s, q.zone); err == nil {
		return schemas.TimeOf(day.AddDate(0, 0, 1))
	}
	t, _ := instantOf(s)
	return t
}

// exportData is one export in full.
type exportData struct {
	schemas.Export
	Job *schemas.Job
	// Titles are those of the job, by id.
	Titles map[string]string
	// Files and Parts are the first ones, and MoreFiles says that there are more.
	Files     []ledger.ListedArtifact
	MoreFiles bool
	Parts     []schemas.Receipt
	// Stored is when each of Parts was, More how many more there are.
	Stored map[int]schemas.Time
	More   int
	Events []auditRow
	// Names are those of the certificates, by fingerprint.
	Names map[string]string
	// Hold keeps its files; nil if no hold does.
	Hold *schemas.Hold
	// Open is the command that proves and opens all of it.
	Open string
}

// partsShown bounds the tables of parts and files; the manifest lists them all.
const partsShown = 100

func (c *Console) exportPage(q *request) error {
	id := q.r.PathValue("id")
	d := exportData{Names: map[string]string{}}
	var holds []schemas.Hold
	g, ctx := errgroup.WithContext(q.r.Context())
	g.Go(func() (err error) {
		if d.Export, err = q.Export(ctx, id); err != nil || d.State != schemas.Completed {
			return err
		}
		files, err := q.Artifacts(ctx, ledger.ArtifactFilter{ExportID: id, Present: true}, ledger.Page{Sort: "part", Ascending: true, Limit: partsShown})
		d.Files, d.MoreFiles = files.Rows, files.Next != (ledger.Place{})
		return err
	})
	g.Go(func() (err error) {
		d.Parts, err = q.Parts(ctx, id, 0, partsShown)
		return err
	})
	g.Go(func() (err error) {
		d.Stored, err = q.StoredTimes(ctx, id, partsShown)
		return err
	})
	g.Go(func() error {
		trail, err := q.Audit(ctx, ledger.AuditFilter{Subject: id}, ledger.Page{Limit: 50, Ascending: true})
		for _, r := range trail.Rows {
			d.Events = append(d.Events, auditRow{r})
		}
		return err
	})
	g.Go(func() error {
		registered, err := q.Certificates(ctx)
		for _, c := range registered {
			d.Names[c.Fingerprint] = c.Name
		}
		if err == nil {
			holds, err = q.Holds(ctx, false)
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	e := d.Export
	d.Open = openCommand(e)
	if e.Request != nil && e.Request.JobID != "" {
		if j, err := q.Job(q.r.Context(), e.Request.JobID); err == nil {
			d.Job, d.Titles = &j, map[string]string{j.JobID: j.Title}
		}
	}
	if hold, held := schemas.Holds(holds).OfExport(e.ExportID); held {
		d.Hold = &hold
	}
	d.More = max(0, e.Done.Parts-len(d.Parts))
	v := view{Title: called(e, d.Titles, q.zone), At: "/history", Data: d}
	if !e.State.Ended() {
		v.Live = "1s"
	}
	return c.show(q, "export", v)
}
