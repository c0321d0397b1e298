package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cdds/ops/shell"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

func (c *Console) jobs() {
	c.open("GET /jobs", c.jobList)
	c.open("GET /jobs/new", func(q *request) error {
		return c.jobEditor(q, jobForm{Job: schemas.Job{Entity: schemas.EntityInteraction, Schedule: schemas.Schedule{Run: schemas.RunDaily, At: "02:00"}, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeSinceLastRun}}})
	})
	c.open("POST /jobs", func(q *request) error { return c.saveJob(q, "") })
	c.open("GET /jobs/{id}", func(q *request) error { return c.jobPage(q, "") })
	c.open("POST /jobs/{id}/secret", func(q *request) error {
		secret, err := q.WebhookSecret(q.r.Context(), q.r.PathValue("id"))
		if err != nil {
			return err
		}
		return c.jobPage(q, secret)
	})
	c.open("GET /jobs/{id}/edit", func(q *request) error { return c.editJob(q, false) })
	c.open("GET /jobs/{id}/clone", func(q *request) error { return c.editJob(q, true) })
	c.open("POST /jobs/{id}", func(q *request) error { return c.saveJob(q, q.r.PathValue("id")) })
	c.open("POST /jobs/{id}/run", func(q *request) error {
		e, err := q.RunJob(q.r.Context(), q.r.PathValue("id"))
		if err != nil {
			return err
		}
		return q.goTo("/history/"+e.ExportID, "export.asked")
	})
	c.open("POST /jobs/{id}/restart-chain", func(q *request) error {
		j, err := q.RestartChain(q.r.Context(), q.r.PathValue("id"))
		if err != nil {
			return err
		}
		return q.goTo("/jobs/"+j.JobID, "job.restarted")
	})
	for action, to := range map[string]struct{ state, done, page string }{
		"suspend": {schemas.JobSuspended, "job.suspended", "/jobs/%s"},
		"resume":  {schemas.JobActive, "job.resumed", "/jobs/%s"},
		"delete":  {schemas.JobDeleted, "job.deleted", "/jobs"},
	} {
		c.open("POST /jobs/{id}/"+action, func(q *request) error {
			id := q.r.PathValue("id")
			if _, err := q.SetJobState(q.r.Context(), id, to.state); err != nil {
				return err
			}
			page := to.page
			if strings.Contains(page, "%s") {
				page = fmt.Sprintf(page, id)
			}
			return q.goTo(page, to.done)
		})
	}
}

// jobRow is a job with its latest run and when it is due next.
type jobRow struct {
	schemas.Job
	Last *schemas.Export
	Next schemas.Time
}

// jobsPage is a page of jobs.
type jobsPage struct {
	Rows []jobRow
	Numbered
	Text, State string
}

func (c *Console) jobList(q *request) error {
	all, err := q.Jobs(q.r.Context())
	if err != nil {
		return err
	}
	query := q.r.URL.Query()
	d := jobsPage{Text: query.Get("text"), State: query.Get("state")}
	all = slices.DeleteFunc(slices.Clone(all), func(j schemas.Job) bool {
		return j.Deleted() || d.State != "" && j.State != d.State ||
			!strings.Contains(strings.ToLower(j.Title+" "+j.JobID+" "+j.Description), strings.ToLower(d.Text))
	})
	slices.SortFunc(all, func(a, b schemas.Job) int {
		return strings.Compare(strings.ToLower(a.Title)+a.JobID, strings.ToLower(b.Title)+b.JobID)
	})
	all, d.Numbered = numberedPage(query, all)
	ids := make([]string, len(all))
	for n := range all {
		ids[n] = all[n].JobID
	}
	latest, err := q.LatestRuns(q.r.Context(), ids)
	if err != nil {
		return err
	}
	for _, j := range all {
		row := jobRow{Job: j, Last: latest[j.JobID]}
		if next, err := q.NextRuns(q.r.Context(), j.JobID, 1); err == nil && len(next) > 0 {
			row.Next = next[0]
		}
		d.Rows = append(d.Rows, row)
	}
	return c.show(q, "jobs", view{Title: "Jobs", At: "/jobs", Live: "3s", Data: d})
}

// jobData is one job with its runs, past and next, and the webhook's deliveries.
type jobData struct {
	schemas.Job
	Runs       []schemas.Export
	Next       []schemas.Time
	Deliveries []schemas.WebhookDelivery
	// Secret is what the webhook is signed with, if it was asked for; it is shown once.
	Secret string
	// For are the recipients' certificates.
	For []schemas.Certificate
	// Chained says that the runs are a chain; Follow is the command that keeps a copy, and
	// Receivers is how far those who do are.
	Chained   bool
	Follow    string
	Receivers []schemas.AuditRecord
}

func (c *Console) jobPage(q *request, secret string) error {
	j, err := q.Job(q.r.Context(), q.r.PathValue("id"))
	if err != nil {
		return err
	}
	d := jobData{Job: j, Secret: secret}
	runs, err := q.Exports(q.r.Context(), ledger.ExportFilter{JobID: j.JobID}, ledger.Page{Limit: 10})
	if err != nil {
		return err
	}
	d.Runs = runs.Rows
	if d.Next, err = q.NextRuns(q.r.Context(), j.JobID, 5); err != nil {
		return err
	}
	for _, fingerprint := range j.Recipients {
		certificate, err := q.Certificate(q.r.Context(), fingerprint)
		if err != nil {
			certificate.Fingerprint = fingerprint
		}
		d.For = append(d.For, certificate)
	}
	if d.Chained = j.Timeframe.Kind == schemas.TimeframeSinceLastRun; d.Chained {
		d.Follow = shell.Command("cdds", "sync", "--server", cmp.Or(c.URL, "https://cdds.example.com"), "--tenant", q.Tenant(), "--job", j.JobID,
			"--token-file", "token", "--cert", "cert.pem", "--key", "key.pem", "--signer", "service.pem", "--to", "sqlite:"+j.JobID+".db", "--watch")
		acknowledged, err := q.Audit(q.r.Context(), ledger.AuditFilter{Subject: j.JobID, Action: "job.acknowledge"}, ledger.Page{Limit: 10})
		if err != nil {
			return err
		}
		d.Receivers = acknowledged.Rows
	}
	if j.Webhook != nil {
		told, err := q.Deliveries(q.r.Context(), ledger.DeliveryFilter{JobID: j.JobID}, ledger.Page{Limit: 10})
		if err != nil {
			return err
		}
		d.Deliveries = told.Rows
	}
	v := view{Title: j.Title, At: "/jobs", Data: d}
	if secret == "" { // a page that renews itself would take it away
		v.Live = "3s"
	}
	return c.show(q, "job", v)
}
