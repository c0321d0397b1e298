package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

//go:embed templates
var templates embed.FS

// pages are the templates by name, each with the layout around it: one set for each time zone
// that readers are in.
type pages struct {
	now func() time.Time

	mu sync.Mutex
	in map[string]map[string]*template.Template
}

// maxZones bounds the sets of templates that are kept; readers in further zones have UTC.
const maxZones = 64

// of are the templates that show times in a zone.
func (p *pages) of(zone *time.Location) map[string]*template.Template {
	p.mu.Lock()
	defer p.mu.Unlock()
	if zone == nil || len(p.in) == maxZones && p.in[zone.String()] == nil {
		zone = time.UTC
	}
	all := p.in[zone.String()]
	if all == nil {
		all = parsePages(zone, p.now)
		p.in[zone.String()] = all
	}
	return all
}

func parsePages(zone *time.Location, now func() time.Time) map[string]*template.Template {
	all := map[string]*template.Template{}
	layout := template.Must(template.New("layout.html").Funcs(functions(zone, now)).ParseFS(templates, "templates/layout.html", "templates/parts*.html"))
	files, err := templates.ReadDir("templates")
	if err != nil {
		panic("console: " + err.Error())
	}
	for _, f := range files {
		if name := f.Name(); name != "layout.html" && !strings.HasPrefix(name, "parts") {
			all[strings.TrimSuffix(name, ".html")] = template.Must(template.Must(layout.Clone()).ParseFS(templates, path.Join("templates", name)))
		}
	}
	return all
}

// view is what a page is rendered from.
type view struct {
	Title string
	// At is the entry of the navigation the page belongs to.
	At  string
	Nav []entry
	// Who is signed in; its Subject is empty if nobody is.
	Who    auth.Principal
	Tenant string
	// Several says that there are other tenants to look at.
	Several bool
	// Path is the page's own, to come back to.
	Path string
	// Zone is the reader's time zone; nil means UTC.
	Zone *time.Location
	Now  schemas.Time
	// Said is a sentence on what was done; Problems are what is wrong with a form.
	Said     string
	Problems []string
	// Live is how often the page asks for itself, such as 2s; empty: not.
	Live string
	Data any
}

type entry struct{ Path, Title, Icon string }

// navigation is what a role sees.
func navigation(p auth.Principal) []entry {
	if p.MustChangePassword { // every page leads to that of the password
		return nil
	}
	nav := []entry{{"/", "Overview", "layout-dashboard"}}
	if p.May(auth.Read) {
		nav = append(nav,
			entry{"/jobs", "Jobs", "calendar-clock"}, entry{"/history", "History", "history"}, entry{"/artifacts", "Artifacts", "folder-down"}, entry{"/webhooks", "Webhooks", "arrow-right"},
			entry{"/certificates", "Certificates", "file-key"}, entry{"/privacy", "Privacy requests", "eraser"}, entry{"/audit", "Audit", "scroll-text"})
	}
	if p.May(auth.Manage) {
		nav = append(nav, entry{"/access", "Access", "users"})
	}
	if p.Tenant == schemas.AllTenants {
		nav = append(nav, entry{"/health", "Health", "activity"})
	}
	if p.Tenant == schemas.AllTenants && p.May(auth.Manage) {
		nav = append(nav, entry{"/account", "Account", "check"}, entry{"/letters", "Dead letters", "inbox"})
	}
	return nav
}

// done are the sentences a redirect may ask for.
var done = map[string]string{
	"job.saved": "The job is saved.", "job.suspended": "The job is suspended: it does not run until it is resumed.", "job.resumed": "The job is active again.", "job.restarted": "The next run holds everything: the chain starts over.",
	"job.deleted": "The job is deleted. The exports it made are kept.", "export.asked": "The export is requested.",
	"export.cancel": "The export is being cancelled.", "export.retry": "The retry is requested.", "export.delete": "The artifacts are being deleted.",
	"certificate.added": "The certificate is registered.", "certificate.removed": "The certificate is removed: new exports are no longer sealed for it.",
	"certificate.replaced": "The certificate is replaced: jobs seal for the new one from now on.",
	"password":             "Your password is changed.", "token.revoked": "The token is revoked.", "user.deleted": "The user is deleted.",
	"user.changed": "The role is changed. It counts from the user's next request on.", "user.disabled": "The user is disabled. Its sessions and tokens ended.",
	"user.enabled": "The user is enabled and may sign in.", "session.ended": "The session is ended.", "erasure.asked": "The erasure is requested.",
	"hold.made": "The hold is made. What it names is kept until the hold is released.", "hold.requested": "The release is requested. A second person must release the hold.",
	"account.written_off": "The records are written off. Exports no longer wait for them.",
	"letter.published":    "The record is published again. Ingest stores it within seconds; if it cannot be read, it is a dead letter once more.",
	"webhook.test":        "The test is requested. The answer appears here.", "webhook.redeliver": "The redelivery is requested. The answer appears here.",
	"hold.withdrawn": "The request is withdrawn. The hold stays.",
	"hold.released":  "The hold is released. Erasures that waited for it run now.",
}

// show renders a page.
func (c *Console) show(q *request, page string, v view) error {
	v.Who, v.Tenant, v.Several, v.Nav = q.who, q.Tenant(), several(q.who), navigation(q.who)
	v.Path, v.Zone = q.r.URL.RequestURI(), q.zone
	if v.Said == "" {
		v.Said = done[q.r.URL.Query().Get("done")]
	}
	status := http.StatusOK
	if len(v.Problems) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return c.render(q.w, page, status, v)
}

// render writes a page whole or not at all.
func (c *Console) render(w http.ResponseWriter, page string, status int, v view) error {
	v.Now = schemas.TimeOf(c.Now())
	var out bytes.Buffer
	if err := c.pages.of(v.Zone)[page].ExecuteTemplate(&out, "layout.html", v); err != nil {
		return fmt.Errorf("page %s: %w", page, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w)
	return nil
}

// goTo answers a form: the browser fetches the page that shows what came of it.
func (q *request) goTo(to, done string) error {
	if done != "" {
		to += "?done=" + queryEscape(done)
	}
	http.Redirect(q.w, q.r, Prefix+to, http.StatusSeeOther) //nolint:gosec // below Prefix
	return nil
}

// fail answers with a page that says what is the matter and where to go.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, title, text := http.StatusInternalServerError, "Something failed", "The page could not be made. Try again; if it stays so, the log of the web role says why."
	var conflict *admin.ConflictError
	var invalid *schemas.InvalidError
	var quota *pipeline.QuotaError
	switch {
	case errors.Is(err, auth.ErrMustChange):
		http.Redirect(w, r, Prefix+passwordPath, http.StatusSeeOther)
		return
	case errors.Is(err, auth.ErrForbidden):
		status, title, text = http.StatusForbidden, "Access denied", "Your role does not allow this. An administrator of your tenant can."
	case errors.Is(err, admin.ErrNotFound), errors.Is(err, auth.ErrUnknown), errors.Is(err, bucket.ErrNotFound):
		status, title, text = http.StatusNotFound, "Not found", "Nothing was found at this address. It may have been deleted, or belong to another tenant."
	case errors.Is(err, admin.ErrGone):
		status, title, text = http.StatusGone, "Gone", "The artifacts were removed: they lived as long as they may, or somebody deleted them. Duplicate the export to make them again."
	case errors.As(err, &conflict):
		status, title, text = http.StatusConflict, "Not possible now", conflict.Reason
	case errors.As(err, &quota):
		status, title, text = http.StatusTooManyRequests, "Quota used up", asSentence(quota.Reason)
	case errors.Is(err, schemas.ErrChanged):
		status, title, text = http.StatusPreconditionFailed, "Changed meanwhile", "Somebody else changed this at the same time. Look at it again, and repeat your change if it is still right."
	case errors.Is(err, auth.ErrThrottled):
		status, title, text = http.StatusTooManyRequests, "Too many requests", "Wait a moment, then try again."
	case errors.As(err, &invalid):
		status, title, text = http.StatusUnprocessableEntity, "Not valid", invalid.Error()
	case errors.Is(err, ledger.ErrPage), errors.Is(err, errBad):
		status, title, text = http.StatusUnprocessableEntity, "Not valid", err.Error()
	default:
		c.Logger.Error("a page failed", "path", r.URL.Path, "error", err)
	}
	p, _ := auth.From(r.Context())
	v := view{Title: title, Data: text, Who: p, Nav: navigation(p), Zone: zoneOf(r)}
	if p.Subject == "" {
		v.Nav = nil
	}
	if err := c.render(w, "message", status, v); err != nil {
		http.Error(w, title, status)
	}
}

// problemsOf are the sentences to show beside a form; nil if the error is not about it.
func problemsOf(err error) []string {
	var invalid *schemas.InvalidError
	var conflict *admin.ConflictError
	var password *auth.PasswordError
	var quota *pipeline.QuotaError
	switch {
	case errors.As(err, &quota):
		return []string{quota.Reason}
	case errors.As(err, &invalid):
		return invalid.Problems
	case errors.As(err, &conflict):
		return []string{conflict.Reason}
	case errors.As(err, &password):
		return []string{password.Reason}
	case errors.Is(err, schemas.ErrChanged), errors.Is(err, auth.ErrTaken), errors.Is(err, auth.ErrCredentials), errors.Is(err, auth.ErrThrottled):
		return []string{err.Error()}
	}
	return nil
}

func queryEscape(s string) string { return url.QueryEscape(s) }

// functions of the templates, for readers in a time zone.
func functions(zone *time.Location, now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"hidden": func(p *schemas.FieldPolicy, entity string) string { return p.Applied(entity, "").Text() },
		"bytes":  func(n int64) string { return humanize.IBytes(uint64(max(0, n))) },
		"count":  func(n any) string { return schemas.Grouped(reflect.ValueOf(n).Int()) },
		// counted is "1 part" or "2 parts".
		"counted": func(n any, noun string) string { return schemas.Counted(reflect.ValueOf(n).Int(), noun) },
		"day":     func(t schemas.Time) string { return t.In(zone).Format("2006-01-02") },
		"date":    func(t schemas.Time) string { return t.In(zone).Format("2 Jan 2006") },
		"minute":  func(t schemas.Time) string { return t.In(zone).Format("2006-01-02 15:04") },
		"second":  func(t schemas.Time) string { return t.In(zone).Format("2006-01-02 15:04:05") },
		// near is a time as people say it, exact the same to the second.
		"near":  func(t schemas.Time) string { return near(t.In(zone), now().In(zone)) },
		"exact": func(t schemas.Time) string { return t.In(zone).Format("2006-01-02 15:04:05 MST") },
		"zone":  func() string { return strings.ReplaceAll(zone.String(), "_", " ") },
		"days":  func(now, until schemas.Time) int { return int(until.Sub(now.Time).Hours() / 24) },
		"over":  func(now, until schemas.Time) bool { return !now.Before(until.Time) },
		"took":  func(from, to schemas.Time) string { return took(to.Sub(from.Time)) },
		// dated is a time that always says its year.
		"dated":  func(t schemas.Time) string { return t.In(zone).Format("2 Jan 2006 15:04") },
		"millis": func(n int64) string { return took(time.Duration(n) * time.Millisecond) },
		"has":    func(list []string, s string) bool { return slices.Contains(list, s) },
		// brief is the beginning of a text that a table has no room for.
		"brief": func(s string) string {
			if r := []rune(s); len(r) > 160 {
				return string(r[:160]) + " …"
			}
			return s
		},
		"first": func(n int, all []string) []string { return all[:min(n, len(all))] },
		"short": func(s string) string { return s[:min(len(s), 12)] },
		// tail is the end of an id, in which the ids of one job differ.
		"tail": func(s string) string {
			if len(s) > 16 {
				return "…" + s[len(s)-8:]
			}
			return s
		},
		"join":   strings.Join,
		"queue":  schemas.QueueText,
		"places": schemas.Places,
		"input":  inputOf,
		// elide leaves an export's id out of the name of its file: it stands beside it.
		"elide":        func(name, id string) string { return strings.ReplaceAll(name, id, "…") },
		"ever":         ever,
		"prefix":       func() string { return Prefix },
		"title":        titleOf,
		"event":        eventTitle,
		"reply":        replyOf,
		"state":        func(s schemas.State) string { return string(s) },
		"ended":        func(s schemas.State) bool { return s.Ended() },
		"percent":      percent,
		"sentence":     asSentence,
		"sentencecase": func(s string) string { return strings.TrimSuffix(asSentence(s), ".") },
		// erasurestate is the word for the state of an erasure.
		"erasurestate": func(state string) string {
			switch state {
			case schemas.ErasureAccepted:
				return "erasing"
			case schemas.ErasureDone:
				return "erased"
			}
			return state
		},
		"lasting": func(seconds float64) string {
			return took(max(time.Second, time.Duration(seconds*float64(time.Second)).Round(time.Second)))
		},
		"left":   left,
		"dict":   dict,
		"called": func(e schemas.Export, titles map[string]string) string { return called(e, titles, zone) },
		// zoned is a time in a zone of a schedule, nearzoned the same as people say it.
		"zoned": func(t schemas.Time, zone string) string {
			return t.In(zoneCalled(zone)).Format("Mon 2 Jan 2006 15:04 MST")
		},
		"nearzoned": func(t schemas.Time, zone string) string {
			at := zoneCalled(zone)
			return near(t.In(at), now().In(at)) + t.In(at).Format(" MST")
		},
	}
}

// zoneCalled is a time zone by its name, UTC if none exists.
func zoneCalled(name string) *time.Location {
	at, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return at
}

// titleOf is a name from the program as a title: "given_up" is "Given up".
func titleOf(s string) string {
	return strings.ToUpper(s[:min(1, len(s))]) + strings.ReplaceAll(s[min(1, len(s)):], "_", " ")
}

// near is a time as people say it: the day in words if it is close, the year if it is another.
func near(t, now time.Time) string {
	day := func(at time.Time) time.Time { return time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC) }
	switch days := int(day(t).Sub(day(now)).Hours() / 24); {
	case days == 0:
		return t.Format("Today 15:04")
	case days == -1:
		return t.Format("Yesterday 15:04")
	case days == 1:
		return t.Format("Tomorrow 15:04")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// ever says that a range leaves nothing out.
func ever(from, to schemas.Time) bool { return from.Year() <= 1970 && to.Year() >= 2199 }

// dict makes the argument of a nested template.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict: a name without a value")
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, errors.New("dict: a name must be text")
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// percent is how much of an export is done, 0 to 100.
func percent(e schemas.Export) int {
	switch {
	case e.State == schemas.Completed:
		return 100
	case e.Planned.JSONLBytes == 0:
		return 0
	}
	return int(min(99, e.Done.JSONLBytes*100/e.Planned.JSONLBytes))
}

// left is the time an export will still take, empty if unknown.
func left(now schemas.Time, e schemas.Export) string {
	remaining, ok := e.Remaining(now.Time)
	if !ok || remaining == 0 {
		return ""
	}
	return "about " + took(max(time.Second, remaining.Round(time.Second))) + " left"
}

// took is a duration as people say it, such as "4 min 30 s".
func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "under 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d < time.Hour:
		return strings.TrimSuffix(fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60), " 0 s")
	}
	return strings.TrimSuffix(fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60), " 0 min")
}
