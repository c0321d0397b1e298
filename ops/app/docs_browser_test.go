package app_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	docsite "cdds/ops/docs/site"
)

func TestTheDocumentationIsSearchedAndReadInABrowser(t *testing.T) {
	server := httptest.NewServer(docsite.Handler())
	t.Cleanup(server.Close)
	b := openBrowser(t, server.URL)
	b.do(chromedp.Navigate(server.URL+"/docs/"), chromedp.WaitVisible("#q"))
	b.inspect("docs")
	b.do(chromedp.SendKeys("#q", "quota bytes"), chromedp.WaitVisible("#found li"))
	b.inspect("docs-found")
	if first := b.attribute("#found a", "href"); !strings.HasSuffix(first, "operate.html#quotas") {
		t.Errorf("quotas are looked for, and the first that is found is %s: %s", first, b.text("#found"))
	}
	b.do(chromedp.Click("#found a"), chromedp.WaitVisible("#quotas"))
	b.do(chromedp.SendKeys("#q", "zebra crossing"), chromedp.WaitVisible(`//h1[contains(., "Nothing has all of")]`))
	b.do(chromedp.Navigate(server.URL+"/docs/tutorials/receiver.html"), chromedp.WaitVisible(".code button"))
	b.inspect("docs-tutorial")
	b.do(chromedp.SendKeys("#q", "webhook"), chromedp.WaitVisible("#found li"), chromedp.Click(`#found a[href$="api.html#webhooks"]`), chromedp.WaitVisible("#webhooks"))
}
