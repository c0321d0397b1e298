package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// exportForm is the form of one export. It asks for what a job asks for, except when to run.
type exportForm struct {
	jobForm
	// Once is a random value of this form: the same form sent twice is one export.
	Once string
	// Access says that it is an access request: only data of Contacts, which needs a Reason.
	Access   bool
	Contacts []string
	Reason   string
	// Estimate is what the export would hold, if that was asked for.
	Estimate *schemas.Estimate
}

func (c *Console) exportForms() {
	c.open("GET /exports/new", func(q *request) error {
		f := exportForm{Once: rand.Text()}
		stored, err := q.Stored(q.r.Context())
		if err != nil {
			return err
		}
		f.Job = schemas.Job{Entity: schemas.EntityInteraction, Timeframe: suggested(stored, c.Now())}
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
	c.open("POST /exports", func(q *request) error { return c.requestExport(q, false) })
	c.open("GET /privacy/access", func(q *request) error {
		f := exportForm{Once: rand.Text(), Access: true}
		f.Job = schemas.Job{Entity: schemas.EntityInteraction, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll}}
		return c.exportEditor(q, f)
	})
	c.open("POST /privacy/access", func(q *request) error { return c.requestExport(q, true) })
}

// suggestedDays is the range of a new export where interactions are stored all the time.
const suggestedDays = 7

// suggested is the range that a new export begins with: the last days, or from the first day
// of history to the last one if these days hold nothing. The form then never proposes an
// export without a row while interactions are stored, such as those of `cdds sample`, which are months old.
func suggested(stored warehouse.Stored, now time.Time) schemas.Timeframe {
	t := schemas.Timeframe{Kind: schemas.TimeframeLastDays, Days: suggestedDays}
	if stored.From.IsZero() {
		return t
	}
	t.From, t.To = dayOf(stored.From.Time), dayOf(stored.To.AddDate(0, 0, 1))
	if stored.To.After(now) || stored.To.Before(now.AddDate(0, 0, -suggestedDays)) {
		t.Kind = schemas.TimeframeFixed
	}
	return t
}

// dayOf is the beginning of the day of an instant, in UTC.
func dayOf(at time.Time) schemas.Time { return schemas.TimeOf(at.UTC().Truncate(24 * time.Hour)) }

// selectionOf is what an export holds and who can open it, as a form has it.
func selectionOf(e schemas.Export) schemas.Job {
	r := e.Request
	j := schemas.Job{
		Entity: r.Entity, MediaTypes: r.MediaTypes, Match: r.Match, SplitSize: r.SplitSize, Encoding: r.Encoding, Cipher: r.Cipher,
		KeyTransport: r.KeyTransport, Compression: r.Compression, Attachments: r.Attachments, RetentionDays: r.RetentionDays, FieldPolicy: r.FieldPolicy, Names: r.Names,
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

// permission is what somebody needs who sends the form.
func (f exportForm) permission() auth.Permission {
	if f.Access {
		return auth.Privacy
	}
	return auth.Change
}

func (c *Console) exportEditor(q *request, f exportForm, problems ...string) error {
	if !q.who.May(f.permission()) {
		return auth.ErrForbidden
	}
	if err := q.choices(&f.jobForm); err != nil {
		return err
	}
	f.Timeframes = []string{schemas.TimeframeAll, schemas.TimeframeLastDays, schemas.TimeframeFixed}
	f.Post = Prefix + "/exports"
	if f.Access {
		f.Post = Prefix + "/privacy/access"
		return c.show(q, "access-form", view{Title: "New access request", At: "/privacy", Problems: problems, Data: f})
	}
	return c.show(q, "export-form", view{Title: "New export", At: "/history", Problems: problems, Data: f})
}

// requestExport requests the export that the form describes, or estimates it.
func (c *Console) requestExport(q *request, access bool) error {
	f := exportForm{Access: access}
	if !q.who.May(f.permission()) {
		return auth.ErrForbidden
	}
	listed, err := q.listed()
	if err != nil {
		return err
	}
	j, problems, err := q.jobOf(schemas.Job{})
	if err != nil {
		return err
	}
	j.TenantID = q.Tenant()
	f.Job, f.Given, f.Find, f.Once = j, q.r.PostForm.Get("queues"), q.r.PostForm.Get("find"), q.r.PostForm.Get("once")
	if access {
		f.Contacts, f.Reason = listed, strings.TrimSpace(q.r.PostForm.Get("reason"))
		if len(f.Contacts) == 0 {
			problems = append(problems, "contacts: give the id of at least one contact")
		}
	}
	if q.r.PostForm.Get("then") == find { // whoever looks for a certificate has not filled in all yet
		return c.exportEditor(q, f)
	}
	if len(problems) > 0 {
		return c.exportEditor(q, f, problems...)
	}
	r := q.once(j)
	r.Contacts, r.Reason = f.Contacts, f.Reason
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

// listed are the ids of a form, each once: those written into its field "ids" and those of the
// file beside it, one a line. The field then has all of them.
func (q *request) listed() ([]string, error) {
	if err := q.r.ParseMultipartForm(maxListed); err != nil && !errors.Is(err, http.ErrNotMultipart) { //nolint:gosec // the site bounds every body
		return nil, fmt.Errorf("%w: %w", errBad, err)
	}
	text := q.r.PostForm.Get("ids")
	if file, _, err := q.r.FormFile("file"); err == nil {
		defer func() { _ = file.Close() }()
		content, err := io.ReadAll(file)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBad, err)
		}
		text += "\n" + strings.TrimPrefix(string(content), "\ufeff")
	}
	all := idsIn(text)
	q.r.PostForm.Set("ids", strings.Join(all, "\n"))
	return all, nil
}

// idsIn are the ids of a text, one a line, each once. Blanks around an id are part of it.
func idsIn(text string) (all []string) {
	given := map[string]bool{}
	for id := range strings.Lines(text) {
		id = strings.TrimRight(id, "\r\n")
		if strings.TrimSpace(id) != "" && !given[id] {
			given[id], all = true, append(all, id)
		}
	}
	return all
}

// maxListed is how much of a list of ids is held in memory; more goes to a file.
const maxListed = 1 << 20
