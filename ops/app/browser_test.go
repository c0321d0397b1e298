package app_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	browserlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// `make screenshots` sets it.
var screenshots = flag.String("screenshots", "", "directory for pictures of every page of the console")

// tab is a page in a real browser, and what the browser complained of.
type tab struct {
	t         *testing.T
	ctx       context.Context
	url       string
	downloads string
	axe       string

	mu         sync.Mutex
	complaints []string
}

// profileDir returns a directory for the browser. Its processes outlive the first one by
// a moment and write there, so that removing it is tried until nothing new comes.
func profileDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "cdds-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Errorf("the browser still writes: %v", err)
	})
	return dir
}

// oneBrowser is held by the test that has a browser: several at once starve each other.
var oneBrowser = make(chan struct{}, 1)

// openBrowser starts Chromium; without it the test is skipped.
func openBrowser(t *testing.T, url string) *tab {
	t.Helper()
	oneBrowser <- struct{}{}
	t.Cleanup(func() { <-oneBrowser })
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Skip("no Chromium to look at the console with: `ops/tools/install chromium` installs it where apt can")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profileDir(t)), chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, 6*time.Minute)
	t.Cleanup(stop)
	b := &tab{t: t, ctx: ctx, url: url, downloads: t.TempDir()}
	if source, err := os.ReadFile(filepath.Join("..", "..", ".tools", "axe.min.js")); err == nil {
		b.axe = string(source)
	}
	chromedp.ListenTarget(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.complaints = append(b.complaints, e.ExceptionDetails.Error())
		case *browserlog.EventEntryAdded: // a refused script or style is one
			if e.Entry.Level == browserlog.LevelError && e.Entry.Source == browserlog.SourceSecurity {
				b.complaints = append(b.complaints, e.Entry.Text)
			}
		}
	})
	check(t, chromedp.Run(ctx)) // starts the browser, which lives as long as this context
	b.do(browserlog.Enable(), browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(b.downloads))
	t.Cleanup(func() {
		if len(b.complaints) > 0 {
			t.Errorf("the browser complained: %q", b.complaints)
		}
	})
	return b
}

// browserPatience is how long one step in a browser may take.
const browserPatience = 30 * time.Second

func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, browserPatience)
	defer stop()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var page string
		_ = chromedp.Run(b.ctx, chromedp.Text("main", &page))
		b.t.Fatalf("%v; the page says: %s", err, page)
	}
}

// open shows a page of the console.
func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.url+"/console"+path), chromedp.WaitVisible("main"))
}

// submit clicks a button and waits for the page that comes of it.
func (b *tab) submit(button, until string) {
	b.t.Helper()
	b.do(chromedp.Click(button), chromedp.WaitVisible(until))
}

func (b *tab) text(selector string) (s string) {
	b.t.Helper()
	b.do(chromedp.Text(selector, &s))
	return s
}

func (b *tab) attribute(selector, name string) (s string) {
	b.t.Helper()
	b.do(chromedp.AttributeValue(selector, name, &s, nil, chromedp.ByQuery))
	return s
}

// drop drops a file, as if it came from a folder beside the browser.
func (b *tab) drop(selector, file string) {
	b.t.Helper()
	content, err := os.ReadFile(file)
	check(b.t, err)
	b.do(chromedp.Evaluate(fmt.Sprintf(`{
		const dropped = new DataTransfer();
		dropped.items.add(new File([%q], %q));
		document.querySelector(%q).dispatchEvent(new DragEvent("drop", {dataTransfer: dropped, bubbles: true, cancelable: true}));
	}`, content, filepath.Base(file), selector), nil))
}

// download clicks a link and returns the file that came of it.
func (b *tab) download(link string) string {
	b.t.Helper()
	before, _ := filepath.Glob(filepath.Join(b.downloads, "*"))
	b.do(chromedp.Click(link))
	for {
		files, _ := filepath.Glob(filepath.Join(b.downloads, "*"))
		for _, f := range files {
			if !strings.HasSuffix(f, ".crdownload") && len(files) > len(before) && !contains(before, f) {
				return f
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-b.ctx.Done():
			b.t.Fatal("nothing was downloaded")
		}
	}
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}

// awaited has the browser answer with what a promise comes to.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// inspect looks at the page as it is: nothing is off the screen, axe-core finds nothing, and
// pictures are taken if they are wanted.
func (b *tab) inspect(name string) {
	b.t.Helper()
	for _, look := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1440, 900}, {"dark", "dark", 1440, 900}, {"tablet", "light", 768, 1024}, {"phone", "light", 390, 800}} {
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}),
			emulation.SetDeviceMetricsOverride(look.width, look.height, 1, false))
		if *screenshots != "" {
			var picture []byte
			b.do(chromedp.FullScreenshot(&picture, 90))
			check(b.t, os.MkdirAll(*screenshots, 0o755))
			check(b.t, os.WriteFile(filepath.Join(*screenshots, name+"-"+look.name+".jpg"), picture, 0o644))
		}
		var over int64
		b.do(chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &over))
		if over > 0 {
			b.t.Errorf("%s, %s: the page is %d pixels wider than the screen", name, look.name, over)
		}
		var hidden []string
		b.do(chromedp.Evaluate(`[...document.querySelectorAll(".scroll")].filter((s) => s.scrollWidth > s.clientWidth).map((s) => s.ariaLabel)`, &hidden))
		if len(hidden) > 0 {
			b.t.Errorf("%s, %s: part of %q is off the screen", name, look.name, hidden)
		}
		b.do(chromedp.Evaluate(`[...document.querySelectorAll("main form[method=post] button")].filter((b) => b.checkVisibility() && b.getBoundingClientRect().right > innerWidth).map((b) => b.textContent)`, &hidden))
		if len(hidden) > 0 {
			b.t.Errorf("%s, %s: the buttons %q are off the screen", name, look.name, hidden)
		}
		if look.name == "tablet" { // its markup is that of the others
			continue
		}
		if b.axe == "" {
			b.t.Log("axe-core is not there: `make test` fetches it")
			continue
		}
		var found string
		b.do(chromedp.Evaluate(b.axe, nil), chromedp.Evaluate(
			`axe.run().then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html + " " + n.failureSummary).join(" | "))))`,
			&found, awaited))
		var violations []string
		check(b.t, json.Unmarshal([]byte(found), &violations))
		for _, v := range violations {
			b.t.Errorf("%s, %s: %s", name, look.name, v)
		}
	}
	b.do(emulation.SetDeviceMetricsOverride(1280, 800, 1, false))
}
