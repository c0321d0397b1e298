package docs

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// visitor is who follows a tutorial in the console, in real Chromium. Controls are found by
// what they are called on the page, as a reader finds them.
type visitor struct {
	ctx    context.Context
	home   home
	room   string        // the directory that the page's commands run in; what is downloaded comes into its try
	output func() string // what commands have printed so far
}

// finding finds what a label names; see the file.
//
//go:embed testdata/find.js
var finding string

// within is how long a page may take to show what it should.
const within = 30 * time.Second

// chromium is the browser that is installed; empty if none is.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	return ""
}

func (h home) visitor(t *testing.T, room string, output func() string) *visitor {
	t.Helper()
	profile, err := os.MkdirTemp("", "cdds-chromium-")
	check(t, err)
	ctx, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium()), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile), chromedp.WindowSize(1440, 900),
		chromedp.Flag("disable-component-update", true))...)
	ctx, end := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // of events it does not know; what fails is returned
	t.Cleanup(func() {
		end()
		stop()
		for range 100 { // its processes write there for a moment more
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	check(t, chromedp.Run(ctx, browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(filepath.Join(room, "try"))))
	return &visitor{ctx: ctx, home: h, room: room, output: output}
}

// found is what the page has of a label.
type found struct {
	Problem string // empty if it was found
	Leads   bool   // whether another page comes of pressing it
	Typed   bool   // whether it takes keys as they are typed
}

// look waits for a control of a kind and marks it.
func (v *visitor) look(kind, label string) (f found, err error) {
	err = v.until(func(ctx context.Context) (string, error) {
		err := chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf("(%s)(%q, %q)", finding, kind, label), &f))
		return f.Problem, err
	})
	return f, err
}

const marked = "[data-step]"

// press presses what is called so, and waits for the page that comes of it.
func (v *visitor) press(kind, label string) error {
	f, err := v.look(kind, label)
	if err != nil {
		return err
	}
	if err := v.run(chromedp.Click(marked, chromedp.ByQuery)); err != nil {
		return err
	}
	if !f.Leads {
		return nil
	}
	return v.arrives()
}

// arrives waits until the page that was marked is gone and another one is there.
func (v *visitor) arrives() error {
	return v.until(func(ctx context.Context) (string, error) {
		var there bool
		err := chromedp.Run(ctx, chromedp.Evaluate(`!window.left && document.readyState === "complete"`, &there))
		if err == nil && !there {
			return "no other page comes of it", nil
		}
		return "", err
	})
}

func (v *visitor) visit(url string) error {
	return v.run(chromedp.Navigate(strings.ReplaceAll(url, shown, v.home.web)), chromedp.WaitVisible("main", chromedp.ByQuery))
}

func (v *visitor) enter(text, label string) error {
	f, err := v.look("field", label)
	if err != nil {
		return err
	}
	if !f.Typed { // a browser's own editor of dates takes keys in an order of its own
		return v.run(chromedp.SetValue(marked, text, chromedp.ByQuery))
	}
	return v.run(chromedp.Evaluate(`document.querySelector("`+marked+`").value = ""`, nil), chromedp.SendKeys(marked, text, chromedp.ByQuery))
}

func (v *visitor) choose(option, label string) error {
	f, err := v.look("select", label)
	if err != nil {
		return err
	}
	var chosen bool
	err = v.run(chromedp.Evaluate(fmt.Sprintf(`(() => {
		const list = document.querySelector("%s"), option = [...list.options].find((o) => o.text.trim() === %q);
		if (!option) return false;
		list.value = option.value;
		list.dispatchEvent(new Event("change", { bubbles: true }));
		return true;
	})()`, marked, option), &chosen))
	if err == nil && !chosen {
		err = fmt.Errorf("%s has no choice %q", label, option)
	}
	if err == nil && f.Leads {
		err = v.arrives()
	}
	return err
}

func (v *visitor) tick(label string) error {
	if _, err := v.look("box", label); err != nil {
		return err
	}
	return v.run(chromedp.Evaluate(`{ const box = document.querySelector("`+marked+`"); box.checked || box.click() }`, nil))
}

func (v *visitor) attach(file, label string) error {
	path := filepath.Join(v.room, file)
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if _, err := v.look("file", label); err != nil {
		return err
	}
	return v.run(chromedp.SetUploadFiles(marked, []string{path}, chromedp.ByQuery))
}

// shows waits until the reader can read a text on the page.
func (v *visitor) shows(text string) error {
	return v.until(func(ctx context.Context) (string, error) {
		page, err := v.page(ctx)
		if err == nil && !strings.Contains(page, text) {
			return "the page does not show it", nil
		}
		return "", err
	})
}

// gets waits until a file was downloaded.
func (v *visitor) gets(file string) error {
	return v.until(func(context.Context) (string, error) {
		_, err := os.Stat(filepath.Join(v.room, file))
		if errors.Is(err, os.ErrNotExist) {
			return "no such file was downloaded", nil
		}
		return "", err
	})
}

// password is what the last command printed, or the first start of the system.
func (v *visitor) password(by string) string {
	if by != "it" {
		return v.home.password
	}
	lines := strings.Split(strings.TrimSpace(v.output()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// page is what can be read, in one line.
func (v *visitor) page(ctx context.Context) (text string, err error) {
	err = chromedp.Run(ctx, chromedp.Evaluate(`(document.querySelector("dialog[open]") || document.querySelector("main")).innerText`, &text))
	return strings.Join(strings.Fields(text), " "), err
}

func (v *visitor) run(actions ...chromedp.Action) error {
	ctx, stop := context.WithTimeout(v.ctx, within)
	defer stop()
	return chromedp.Run(ctx, actions...)
}

// until asks again and again until there is no problem any more. A page that is just being
// replaced answers with errors.
func (v *visitor) until(problem func(context.Context) (string, error)) error {
	ctx, stop := context.WithTimeout(v.ctx, within)
	defer stop()
	for {
		said, err := problem(ctx)
		if said == "" && err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			if said == "" {
				return err
			}
			ctx, stop := context.WithTimeout(v.ctx, time.Second)
			defer stop()
			page, _ := v.page(ctx)
			return errors.New(said + ". The page says: " + page)
		}
	}
}
