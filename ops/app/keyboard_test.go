package app_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tabTo presses Tab until what a selector names has the focus.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	for range 80 {
		b.do(chromedp.KeyEvent(kb.Tab))
		var there bool
		b.do(chromedp.Evaluate(fmt.Sprintf("document.activeElement.matches(%q)", selector), &there))
		if there {
			return
		}
	}
	b.t.Fatalf("no number of tabs leads to %s", selector)
}

// press presses Enter and waits for what comes of it.
func (b *tab) press(until string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(until, chromedp.ByQuery))
}

func TestAnAdministratorNeedsNoMouse(t *testing.T) {
	t.Parallel()
	b := openBrowser(t, "")
	s := newSite(t)
	s.furnish(s.as("administrator", "acme"))
	b.url = s.url

	b.open("/history")
	b.tabTo("#name")
	b.do(chromedp.KeyEvent("admin"))
	b.tabTo("#password")
	b.do(chromedp.KeyEvent(s.password))
	b.press("header nav")

	b.do(chromedp.Evaluate("document.activeElement.blur()", nil))
	b.tabTo("a.skip")
	b.do(chromedp.KeyEvent(kb.Enter))
	var place string
	b.do(chromedp.Evaluate("document.activeElement.id", &place))
	if place != "main" {
		t.Errorf("skipping to the content leads to %q", place)
	}

	b.tabTo(`#live td a[href$="/history/done"]`)
	b.do(chromedp.Evaluate(`window.renewed = 0; document.addEventListener("htmx:afterSettle", () => window.renewed++)`, nil),
		chromedp.Poll("window.renewed >= 2", nil),
		chromedp.Evaluate(`document.activeElement.getAttribute("href") || document.activeElement.tagName`, &place))
	if place != "/console/history/done" {
		t.Errorf("after the page has renewed itself %q has the focus", place)
	}
	b.press("h1")

	b.open("/jobs")
	b.tabTo(`a[href$="/jobs/new"]`)
	b.press("#title")
	b.tabTo("#title")
	b.do(chromedp.KeyEvent("Made by keyboard"))
	b.tabTo("button[value=save]")
	b.press(".said")
	if title := b.text("h1"); title != "Made by keyboard" {
		t.Errorf("the job is %q", title)
	}
}

func TestAPageThatRenewsItselfStaysAsItWasLeft(t *testing.T) {
	t.Parallel()
	b := openBrowser(t, "")
	s := newSite(t)
	s.furnish(s.as("administrator", "acme"))
	b.url = s.url
	b.do(chromedp.EmulateViewport(660, 844))
	b.open("/history")
	b.do(chromedp.SendKeys("#name", "admin"), chromedp.SendKeys("#password", s.password))
	b.submit("form button.main", ".scroll")
	const count = `window.renewed = 0, window.spared = 0
document.addEventListener("htmx:afterSettle", () => window.renewed++)
document.addEventListener("htmx:beforeRequest", (e) => window.spared += e.defaultPrevented ? 1 : 0)`
	var at float64
	var label string
	// No table of ours is wider than its place; one whose names are long may be.
	b.do(chromedp.Evaluate(count+`
document.styleSheets[0].insertRule(".scroll table { min-width: 1200px !important }", document.styleSheets[0].cssRules.length)
document.querySelector(".scroll").scrollLeft = 100
document.querySelector(".scroll").focus()`, nil),
		chromedp.Poll("window.renewed >= 2", nil),
		chromedp.Evaluate(`document.querySelector(".scroll").scrollLeft`, &at),
		chromedp.Evaluate(`document.activeElement.ariaLabel || document.activeElement.tagName`, &label))
	if at != 100 || label != "Exports" {
		t.Errorf("the table is at %g of 100, and %q has the focus", at, label)
	}

	var text string
	b.do(chromedp.SendKeys("#text", "typed", chromedp.ByQuery), chromedp.Evaluate(`document.activeElement.blur()
window.spared = 0`, nil),
		chromedp.Poll("window.spared >= 2", nil),
		chromedp.Value("#text", &text, chromedp.ByQuery))
	if text != "typed" {
		t.Errorf("what was typed is %q", text)
	}
}
