package pages_test

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"cdds/pipeline/receiver/pages"
	"cdds/schemas"
)

// tab is Chromium on pages of a directory.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	loaded []string // that are not files
	said   []string // in the browser's console: scripts and refusals
}

func newTab(t *testing.T) *tab {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no Chromium to look at the pages with: `ops/tools/install chromium` installs it where apt can")
	}
	b := &tab{t: t}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU)...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // of events it does not know; what fails is returned
	t.Cleanup(stop)
	b.ctx, stop = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(stop)
	chromedp.ListenTarget(b.ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, "file:") {
				b.loaded = append(b.loaded, e.Request.URL)
			}
		case *log.EventEntryAdded:
			b.said = append(b.said, e.Entry.Text)
		case *runtime.EventConsoleAPICalled, *runtime.EventExceptionThrown:
			b.said = append(b.said, "a script spoke")
		}
	})
	b.do(network.Enable(), log.Enable(), runtime.Enable())
	return b
}

func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open opens a file, and returns the title and where its links lead.
func (b *tab) open(path string) (title string, links []string) {
	b.t.Helper()
	b.do(chromedp.Navigate((&url.URL{Scheme: "file", Path: path}).String()), chromedp.Title(&title),
		chromedp.Evaluate(`[...document.querySelectorAll("a")].map((a) => a.href.baseVal ?? a.href)`, &links))
	return title, links
}

// count is how many elements of a page a selector finds.
func (b *tab) count(selector string) (n int) {
	b.t.Helper()
	b.do(chromedp.Evaluate(`document.querySelectorAll("`+selector+`").length`, &n))
	return n
}

// The rows of an export were written by strangers, and whoever reads them does so on a machine
// with all the other exports.
func TestNothingThatWasExportedRunsInABrowser(t *testing.T) {
	const id = "c1\"'><script>document.title='owned'</script>"
	d := newDecrypted(t, schemas.EntityInteraction)
	d.report.Manifest.Filter.Contacts = []string{id, hostile("missing")}
	d.report.Manifest.WrittenOff = []schemas.WrittenOff{{Number: 1, Records: 1, Reason: hostile("reason")}}
	members := map[string]any{"attributes": map[string]any{hostile("name"): hostile("value")}, hostile("unknown"): []any{hostile("element")}}
	for _, name := range []string{"media_type", "direction", "status", "ended_at", "modified_at", "parent_id", "thread_id", "agent_id", "queue", "category", "subject", "notes", "language", "disposition", "structured_text"} {
		members[name] = hostile(name)
	}
	d.part("",
		row("i1", id, at(1), members, map[string]any{"text": hostile("text")}),
		row("i2", id, at(2), members, map[string]any{"text": "customer: " + hostile("theirs") + "\nagent: " + hostile("ours"), "interaction_id": hostile("id")}),
		row("i3", hostile("contact"), at(3), members, map[string]any{"started_at": hostile("time")}))
	lines := []any{}
	for n, name := range []string{"000001-note.txt", "000002-page.html"} {
		lines = append(lines, map[string]any{"interaction_id": hostile("id"), "started_at": schemas.TimeOf(at(2)).String(), "attachment_id": n, "name": hostile("name"), "content_type": hostile("type"), "size": 1, "file": "attachments-0002/" + name})
	}
	lines = append(lines, map[string]any{"interaction_id": hostile("id"), "started_at": schemas.TimeOf(at(2)).String(), "attachment_id": "3", "name": hostile("name"), "size": 1, "problem": hostile("problem")})
	d.part(schemas.KindAttachments, lines...)
	if err := os.Mkdir(filepath.Join(d.dir, "attachments-0002"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"000001-note.txt", "000002-page.html"} {
		if err := os.WriteFile(filepath.Join(d.dir, "attachments-0002", name), []byte(hostile("file")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := d.write(pages.Options{})
	if err != nil {
		t.Fatal(err)
	}

	b := newTab(t)
	seen, waiting := map[string]bool{}, []string{made.Index}
	for len(waiting) > 0 {
		path := waiting[0]
		waiting = waiting[1:]
		title, links := b.open(path)
		if strings.HasPrefix(title, "owned") {
			t.Errorf("%s: a script ran", path)
		}
		if !strings.HasSuffix(path, ".html") {
			continue
		}
		if n := b.count("script, img, iframe, object, embed, form, body svg[onload], base, a[href^=javascript]"); n != 0 {
			t.Errorf("%s has %d elements that it must not have", path, n)
		}
		if title == "" || b.count("h1") != 1 {
			t.Errorf("%s has no title or heading", path)
		}
		for _, link := range links {
			u, err := url.Parse(link)
			if err != nil || u.Scheme != "file" || !strings.HasPrefix(u.Path, d.dir+"/") {
				t.Errorf("%s links %s, which is outside the export", path, link)
				continue
			}
			if _, err := os.Stat(u.Path); err != nil {
				t.Errorf("%s links what is not there: %v", path, err)
			}
			if !seen[u.Path] {
				seen[u.Path] = true
				waiting = append(waiting, u.Path)
			}
		}
	}
	if len(seen) != 4 { // two contacts, the list, a file
		t.Errorf("the links lead to %d places, want 4", len(seen))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.loaded) > 0 || len(b.said) > 0 {
		t.Errorf("the pages load %q, and the browser says %q", b.loaded, b.said)
	}
}

func TestPagesFollowTheColoursOfTheSystemAndFitAPhone(t *testing.T) {
	d := sampleExport(t)
	made, err := d.write(pages.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := newTab(t)
	for _, path := range []string{made.Index, filepath.Join(d.dir, pages.Dir, "contacts", "0000", "000002.html")} {
		colours := map[string]string{}
		for _, scheme := range []string{"light", "dark"} {
			var colour string
			b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
			b.open(path)
			b.do(chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor + " " + getComputedStyle(document.body).color`, &colour))
			colours[colour] = scheme
		}
		if len(colours) != 2 {
			t.Errorf("%s has the colours %v in both schemes", path, colours)
		}
		var wider bool
		b.do(chromedp.EmulateViewport(390, 844))
		b.open(path)
		b.do(chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth`, &wider), chromedp.EmulateViewport(1280, 800))
		if wider {
			t.Errorf("%s is wider than a phone", path)
		}
	}
}
