package app_test

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/sqlite"
	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// apiFeed is the chain of a job as a receiver gets it over the API.
type apiFeed struct {
	*caller
	job string
}

func (f apiFeed) Runs(context.Context, int) (runs schemas.ChainRuns, _ error) {
	f.into(&runs, 200, "GET", "/jobs/"+f.job+"/chain", nil)
	return runs, nil
}

func (f apiFeed) Fetch(_ context.Context, run schemas.ChainRun, dir string) (string, error) {
	var files struct {
		Items []struct{ Name string }
	}
	f.into(&files, 200, "GET", "/exports/"+run.ExportID+"/artifacts", nil)
	for _, file := range files.Items {
		content := f.must(200, "GET", "/exports/"+run.ExportID+"/artifacts/"+file.Name, nil)
		if err := os.WriteFile(filepath.Join(dir, file.Name), content, 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (f apiFeed) Acknowledge(_ context.Context, p mirror.Position) error {
	f.must(204, "POST", "/jobs/"+f.job+"/chain/acknowledge", map[string]any{"number": p.Number, "export_id": p.ExportID})
	return nil
}

// TestAChainIsStartedOverInABrowserForAReceiverThatIsTooFarBehind has a receiver that applied
// the first run of a job, and could not fetch the second one before its files were deleted. It
// gets an error that says to start over; an administrator does so on the page of the job, and the
// next run, which holds everything, brings the receiver up to date.
func TestAChainIsStartedOverInABrowserForAReceiverThatIsTooFarBehind(t *testing.T) {
	b := openBrowser(t, "")
	s := newSite(t)
	b.url = s.url
	acme := s.as("administrator", "acme")
	for n := range 20 {
		s.publish(interaction("acme", n))
	}
	pem, err := os.ReadFile(s.cert)
	check(t, err)
	var c schemas.Certificate
	acme.into(&c, 201, "POST", "/certificates?name=receiver", pem)
	chain := jobBody("chain", c.Fingerprint)
	chain["title"], chain["timeframe"] = "Copy for the archive", map[string]any{"kind": schemas.TimeframeSinceLastRun}
	acme.must(201, "POST", "/jobs", chain)

	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	check(t, err)
	work := t.TempDir()
	destination, err := sqlite.Open(t.Context(), filepath.Join(work, "copy.sqlite"))
	check(t, err)
	defer func() { check(t, destination.Close()) }()
	copied := &mirror.Follower{
		Feed: apiFeed{acme, "chain"}, Copy: &mirror.Copy{Destination: destination}, Work: work, Now: func() schemas.Time { return schemas.TimeOf(time.Now()) },
		Open: func(ctx context.Context, dir, scratch string) (*receiver.Export, error) {
			return receiver.Open(ctx, dir, pair.Leaf, pair.PrivateKey.(*rsa.PrivateKey), scratch, receiver.Options{})
		},
	}
	run := func() (e schemas.Export) {
		acme.into(&e, 202, "POST", "/jobs/chain/run", nil)
		return s.await("acme", e.ExportID)
	}
	run()
	if _, at, err := copied.Follow(t.Context()); err != nil || at.Number != 1 || at.Rows != 20 {
		t.Fatalf("after the first run the copy is at %+v: %v", at, err)
	}
	s.publish(interaction("acme", 20))
	second := run()
	acme.must(202, "DELETE", "/exports/"+second.ExportID, nil)
	s.eventually(func() bool {
		var runs schemas.ChainRuns
		acme.into(&runs, 200, "GET", "/jobs/chain/chain?after=1", nil)
		return len(runs.Runs) == 1 && runs.Runs[0].Gone
	})
	behind := new(mirror.BehindError)
	if _, _, err := copied.Follow(t.Context()); !errors.As(err, &behind) || !strings.Contains(err.Error(), "`cdds job restart-chain chain`") {
		t.Fatalf("a receiver that is too far behind gets %v", err)
	}

	s.user("ada", schemas.RoleAdministrator, "acme")
	s.user("vic", schemas.RoleViewer, "acme")
	const restart = `form[action$="/restart-chain"] button`
	b.signIn(s, "vic")
	b.open("/jobs/chain")
	if !b.lacks(restart) {
		t.Error("a viewer is offered to start the chain over")
	}
	b.signIn(s, "ada")
	b.open("/jobs/chain")
	b.do(chromedp.Click(restart), chromedp.WaitVisible("dialog"))
	if asks := b.text("dialog"); !strings.Contains(asks, "Start the chain over? The next run then holds everything") {
		t.Errorf("before the chain starts over, the page asks %q", asks)
	}
	b.do(chromedp.Click("dialog .actions button:last-child"), chromedp.WaitVisible(".said"))
	if said := b.text(".said"); said != "The next run holds everything: the chain starts over." {
		t.Errorf("the page says %q", said)
	}
	b.open("/jobs/chain")
	b.submit(`form[action$="/run"] button`, ".said")
	b.do(chromedp.WaitVisible(".badge.s-completed"))
	if said := b.text("main"); !strings.Contains(said, "Starts over") || !strings.Contains(said, "21 rows") {
		t.Errorf("the page of the run says %s", said)
	}
	b.open("/jobs/chain")
	if runs := b.text("table.rows"); !strings.Contains(runs, "holds everything") {
		t.Errorf("the runs are %s", runs)
	}

	if n, at, err := copied.Follow(t.Context()); err != nil || n != 1 || at.Number != 3 || at.Rows != 21 {
		t.Errorf("%d runs were applied, and the copy is at %+v: %v", n, at, err)
	}
	b.open("/jobs/chain")
	if page := b.text("main"); !strings.Contains(page, "has applied") {
		t.Errorf("the page does not show how far the receiver is: %s", page)
	}
}
