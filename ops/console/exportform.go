package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/schemas"
)

// exportForm is the form of one export. It asks for what a job asks for, except when to run.
type exportForm struct {
	jobForm
	// Once is a random value of this form: the same form sent twice is one export.
	Once string
	// Estimate is what the export would hold, if that was asked for.
	Estimate *schemas.Estimate
}

func (c *Console) exportForms() {
	c.open("GET /exports/new", func(q *request) error {
		f := exportForm{Once: rand.Text()}
		f.Job = schemas.Job{Entity: schemas.EntityInteraction, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeLastDays, Days: 7}}
		if id := q.r.URL.Query().Get("like"); id != "" {
			e, err := q.Export(q.r.Context(), id)
			if err != nil {
				return err
			}
			if e.Request == nil || len(e.Request.Contacts) > 0 {
				return admin.ErrNotFound
			}
			f.Job = selectionOf(e)
		}
		return c.exportEditor(q, f)
	})
	c.open("POST /exports", c.requestExport)
}

// selectionOf is what an export holds and who can open it, as a form has it.
func selectionOf(e schemas.Export) schemas.Job {
	r := e.Request
	j := schemas.Job{
		Entity: r.Entity, MediaTypes: r.MediaTypes, Match: r.Match, SplitSize: r.SplitSize, Encoding: r.Encoding, Cipher: r.Cipher,
		KeyTransport: r.KeyTransport, Compression: r.Compression, Attachments: r.Attachments, RetentionDays: r.RetentionDays,
		Timeframe: schemas.Timeframe{Kind: schemas.TimeframeFixed, From: r.From, To: r.To},
	}
	if ever(r.From, r.To) {
		j.Timeframe = schemas.Timeframe{Kind: schemas.TimeframeAll}
	}
	for _, given := range r.Recipients {
		j.Recipients = append(j.Recipients, given.Fingerprint)
	}
	for _, c := range e.Recipients { // history names them beside the request
		if !slices.Contains(j.Recipients, c.Fingerprint) {
			j.Recipients = append(j.Recipients, c.Fingerprint)
		}
	}
	return j
}

func (c *Console) exportEditor(q *request, f exportForm, problems ...string) error {
	if !q.who.May(auth.Change) {
		return auth.ErrForbidden
	}
	if err := q.choices(&f.jobForm); err != nil {
		return err
	}
	f.Timeframes = []string{schemas.TimeframeAll, schemas.TimeframeLastDays, schemas.TimeframeFixed}
	return c.show(q, "export-form", view{Title: "New export", At: "/history", Problems: problems, Data: f})
}

// requestExport requests the export that the form describes, or estimates it.
func (c *Console) requestExport(q *request) error {
	if !q.who.May(auth.Change) {
		return auth.ErrForbidden
	}
	if err := q.r.ParseForm(); err != nil {
		return errBad
	}
	j, problems, err := q.jobOf(schemas.Job{})
	if err != nil {
		return err
	}
	j.TenantID = q.Tenant()
	f := exportForm{jobForm: jobForm{Job: j, Given: q.r.PostForm.Get("queues")}, Once: q.r.PostForm.Get("once")}
	if len(problems) > 0 {
		return c.exportEditor(q, f, problems...)
	}
	r := q.once(j)
	if q.r.PostForm.Get("then") == "estimate" {
		f.Estimate, problems, err = q.estimate(r)
		if err != nil {
			return err
		}
		return c.exportEditor(q, f, problems...)
	}
	e, err := q.create(r)
	if bad := problemsOf(err); bad != nil {
		return c.exportEditor(q, f, bad...)
	}
	if err != nil {
		return err
	}
	return q.goTo("/history/"+e.ExportID, "export.asked")
}

// once is the request of one export of what a job would hold now. Its id follows from the
// form: a form sent twice names the same export.
func (q *request) once(j schemas.Job) schemas.ExportRequest {
	r := *q.Run(j)
	sum := sha256.Sum256([]byte(q.who.Subject + "\x00" + q.r.PostForm.Encode()))
	r.ExportID, r.JobID, r.ScheduledAt = "form-"+hex.EncodeToString(sum[:13]), "", schemas.Time{}
	return r
}

// create requests an export, or returns the one that the same form requested before: its
// request differs if the range ends now.
func (q *request) create(r schemas.ExportRequest) (schemas.Export, error) {
	e, err := q.CreateExport(q.r.Context(), r, "")
	var conflict *admin.ConflictError
	if errors.As(err, &conflict) {
		if sent, known := q.Export(q.r.Context(), r.ExportID); known == nil {
			return sent, nil
		}
	}
	return e, err
}

// estimate says what an export would hold, or why that cannot be said.
func (q *request) estimate(r schemas.ExportRequest) (*schemas.Estimate, []string, error) {
	of, err := q.Handle.Estimate(q.r.Context(), r)
	switch {
	case err == nil:
		return &of, nil, nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, []string{"The estimate took too long. Choose a shorter range, or request the export without an estimate."}, nil
	}
	if problems := problemsOf(err); problems != nil {
		return nil, problems, nil
	}
	return nil, nil, err
}
