package pages_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cdds/pipeline/receiver"
	"cdds/pipeline/receiver/pages"
	"cdds/schemas"
)

func TestAContactsPageHasItsInteractionsInOrderAndNobodyElses(t *testing.T) {
	d := newDecrypted(t, schemas.EntityInteraction)
	d.part("", row("i1", "ann", at(1), map[string]any{"text": "first of ann"}), row("i2", "bob", at(2), map[string]any{"text": "only of bob"}))
	d.part("", row("i3", "ann", at(3), map[string]any{"text": "second of ann"}), row("i4", "", at(4), map[string]any{"text": "of nobody"}))
	all := d.pages(pages.Options{})
	want := map[string][]string{
		"contacts/0000/000001.html": {"of nobody"},
		"contacts/0000/000002.html": {"first of ann", "second of ann"},
		"contacts/0000/000003.html": {"only of bob"},
	}
	for path, texts := range want {
		if got := regexp.MustCompile(`(first|second|only) of \w+|of nobody`).FindAllString(all[path], -1); !slices.Equal(got, texts) {
			t.Errorf("%s shows %q, want %q", path, got, texts)
		}
	}
	if got, want := len(all), 4; got != want {
		t.Errorf("there are %d pages, want %d: %q", got, want, slices.Sorted(maps.Keys(all)))
	}
	if got, want := links(all["index.html"]), "contacts/0000/000002.html contacts/0000/000003.html contacts/0000/000001.html"; got != want {
		t.Errorf("the list links %q, want %q", got, want)
	}
}

func TestPagesAreTheSameHoweverLittleMemoryThereIs(t *testing.T) {
	make := func(memory int) map[string]string {
		d := newDecrypted(t, schemas.EntityInteraction)
		for part := range 3 {
			var rows []any
			for n := range 400 {
				n += 400 * part
				rows = append(rows, row(fmt.Sprint("i", n), fmt.Sprint("c", n*7919%230), at(n), map[string]any{"text": fmt.Sprint("said ", n)}))
			}
			d.part("", rows...)
		}
		return d.pages(pages.Options{Memory: memory})
	}
	much, little := make(0), make(4<<10)
	if len(much) != 230+2 { // the list has 200 contacts a page
		t.Errorf("there are %d pages", len(much))
	}
	if !maps.Equal(much, little) {
		t.Error("what is sorted in a file gives other pages than what is sorted in memory")
	}
}

func TestAContactWithManyInteractionsHasSeveralPages(t *testing.T) {
	d := newDecrypted(t, schemas.EntityInteraction)
	var rows []any
	for n := range 201 {
		rows = append(rows, row(fmt.Sprint("i", n), "ann", at(n)))
	}
	rows = append(rows, row("long", "bob", at(300), map[string]any{"text": strings.Repeat("<", 3<<20)}), row("next", "bob", at(301)))
	d.part("", rows...)
	all := d.pages(pages.Options{})
	for path, want := range map[string]string{
		"contacts/0000/000001.html":   "../../index.html 000001-2.html",
		"contacts/0000/000001-2.html": "../../index.html 000001.html 000001-3.html",
		"contacts/0000/000001-3.html": "../../index.html 000001-2.html",
		"contacts/0000/000002-2.html": "../../index.html 000002.html",
	} {
		if got := links(all[path]); got != want {
			t.Errorf("%s links %q, want %q", path, got, want)
		}
	}
	if n := strings.Count(all["contacts/0000/000001-3.html"], "<article"); n != 1 {
		t.Errorf("the third page has %d interactions, want 1", n)
	}
}

func TestAttachmentsAreLinkedOnlyIfNoBrowserWouldRunThem(t *testing.T) {
	d := newDecrypted(t, schemas.EntityInteraction)
	d.part("", row("i1", "ann", at(1)), row("i2", "ann", at(2)), row("i3", "bob", at(2)))
	entry := func(id, file string) map[string]any {
		line := map[string]any{"interaction_id": id, "started_at": schemas.TimeOf(at(2)).String(), "attachment_id": file, "name": hostile(file), "size": 1}
		if strings.HasSuffix(file, "lost") {
			line["problem"] = "the object is gone"
		} else {
			line["file"] = "attachments-0002/" + file
		}
		return line
	}
	d.part(schemas.KindAttachments, entry("i2", "000001-a.png"), entry("i2", "000002-b.html"), entry("i2", "000003-c.SVG"), entry("i2", "000004-d"),
		entry("i2", "000005-e.PDF."), entry("i3", "000006-lost"))
	all := d.pages(pages.Options{})
	if got, want := links(all["contacts/0000/000001.html"]), "../../index.html ../../../attachments-0002/000001-a.png ../../../attachments-0002/000005-e.PDF"; got != want {
		t.Errorf("the page of ann links %q, want %q", got, want)
	}
	if got := all["contacts/0000/000002.html"]; !strings.Contains(got, "the object is gone") || strings.Contains(got, "attachments-0002/") {
		t.Errorf("the page of bob: %s", got)
	}
}

func TestAnIndexOfAttachmentsThatFitsNoRowIsAnError(t *testing.T) {
	d := newDecrypted(t, schemas.EntityInteraction)
	d.part("", row("i1", "ann", at(1)))
	d.part(schemas.KindAttachments, map[string]any{"interaction_id": "i2", "started_at": schemas.TimeOf(at(2)).String(), "attachment_id": "a", "size": 1, "problem": "gone"})
	_, err := d.write(pages.Options{})
	if err == nil || !strings.Contains(err.Error(), `attachments-0002.jsonl names the interaction "i2"`) {
		t.Errorf("error = %v", err)
	}
	if got, want := d.names(), "attachments-0002.jsonl interaction-0001.jsonl"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
}

func TestPagesOfAnotherExportAreNotTouched(t *testing.T) {
	d := newDecrypted(t, schemas.EntityInteraction)
	d.part("", row("i1", "ann", at(1)))
	first := d.pages(pages.Options{})
	if r, err := d.write(pages.Options{}); err != nil || r.Pages != 0 {
		t.Errorf("once more: %d pages written, error %v; want none and none", r.Pages, err)
	}
	d.report.ManifestSHA256 = strings.Repeat("cd", 32)
	if _, err := d.write(pages.Options{}); !errors.Is(err, receiver.ErrOutputExists) {
		t.Errorf("of another export: error %v, want ErrOutputExists", err)
	}
	d.report.ManifestSHA256 = strings.Repeat("ab", 32)
	if again := d.pages(pages.Options{}); !maps.Equal(first, again) {
		t.Error("the pages were changed")
	}
}

func TestAnInterruptedRunLeavesNoPages(t *testing.T) {
	d := newDecrypted(t, schemas.EntityInteraction)
	d.part("", row("i1", "ann", at(1)), "no object")
	if _, err := d.write(pages.Options{}); err == nil || !strings.Contains(err.Error(), "line 2 of interaction-0001.jsonl: it is not a JSON object") {
		t.Errorf("error = %v", err)
	}
	if got, want := d.names(), "interaction-0001.jsonl"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
	if err := os.MkdirAll(filepath.Join(d.dir, ".html-unfinished", "contacts"), 0o700); err != nil { // as a kill would leave it
		t.Fatal(err)
	}
	d = &decrypted{t: t, dir: d.dir, report: newDecrypted(t, schemas.EntityInteraction).report}
	d.part("", row("i1", "ann", at(1)))
	d.pages(pages.Options{})
	if got, want := d.names(), "html interaction-0001.jsonl"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
}

func TestPagesShowEveryMemberOfARowAndHideNothing(t *testing.T) {
	d := newDecrypted(t, schemas.EntityInteraction)
	var planted []string
	plant := func(name string) string {
		planted = append(planted, "planted-"+name)
		return "planted-" + name
	}
	members := map[string]any{"attributes": map[string]any{"a/~b": plant("attribute")}, "unknown": map[string]any{"deep": []any{plant("deep"), 1}}, "time_shift": plant("hidden number")}
	for _, name := range []string{"ended_at", "modified_at", "direction", "status", "parent_id", "agent_id", "queue", "category", "subject", "text", "notes", "language", "disposition", "structured_text", "externalId"} {
		members[name] = plant(name)
	}
	d.part("", row("i1", "ann", at(1), members))
	page := d.pages(pages.Options{})["contacts/0000/000001.html"]
	for _, text := range planted {
		if !strings.Contains(page, text) {
			t.Errorf("the page lacks %s", text)
		}
	}
}

func TestADialogueIsShownAsTurnsAndAnyOtherTextAsItIs(t *testing.T) {
	for text, turns := range map[string]int{
		"customer: Hello\nagent: Hi\nthere":    2,
		"Agent: Hi":                            0,
		"From: ann@example.com\nTo: bob\n\nHi": 0,
		"Hello\ncustomer: Hi\nagent: Hi":       0,
		"customer: \nagent: yes":               2,
	} {
		d := newDecrypted(t, schemas.EntityInteraction)
		d.part("", row("i1", "ann", at(1), map[string]any{"text": text}))
		page := d.pages(pages.Options{})["contacts/0000/000001.html"]
		_, list, _ := strings.Cut(page, `<ol class="turns">`)
		list, _, _ = strings.Cut(list, "</ol>")
		if n := strings.Count(list, "<li"); n != turns {
			t.Errorf("%q is shown as %d turns, want %d", text, n, turns)
		}
		for _, line := range strings.Split(text, "\n") {
			if _, said, ok := strings.Cut(line, ": "); ok && !strings.Contains(page, said) {
				t.Errorf("%q: the page lacks %q", text, said)
			}
		}
	}
}

func TestContactsThatWereNamedAndHaveNothingAreListed(t *testing.T) {
	d := newDecrypted(t, schemas.EntityInteraction)
	d.report.Manifest.Filter.Contacts = []string{"ann", "<b>eve</b>"}
	d.part("", row("i1", "ann", at(1)))
	if page := d.pages(pages.Options{})["index.html"]; !strings.Contains(page, "1 contact of whom nothing is stored") || !strings.Contains(page, "&lt;b&gt;eve&lt;/b&gt;") {
		t.Errorf("the list does not say that nothing was found of eve: %s", page)
	}
}

func TestAnExportOfContactsHasAPageForEach(t *testing.T) {
	d := newDecrypted(t, schemas.EntityContact)
	contact := func(id, name string) map[string]any {
		return map[string]any{"tenant_id": "acme", "contact_id": id, "created_at": schemas.TimeOf(at(1)).String(), "display_name": name, "emails": []any{id + "@example.com"}, "notes": "noted " + id}
	}
	d.part("", contact("c2", "Ada"), contact("c1", "Zoe"))
	all := d.pages(pages.Options{})
	if got, want := links(all["index.html"]), "contacts/0000/000002.html contacts/0000/000001.html"; got != want { // by name
		t.Errorf("the list links %q, want %q", got, want)
	}
	if page := all["contacts/0000/000001.html"]; !strings.Contains(page, "c1@example.com") || !strings.Contains(page, "noted c1") || !strings.Contains(page, "Zoe") {
		t.Errorf("the page of c1: %s", page)
	}
}

// links are where the links of a page lead, in their order.
func links(page string) string {
	var all []string
	for _, m := range regexp.MustCompile(`<a [^>]*href="([^"]*)"|<a href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		all = append(all, m[1]+m[2])
	}
	return strings.Join(all, " ")
}

func TestThePagesHaveNamesThatAnySystemTakes(t *testing.T) {
	d := newDecrypted(t, schemas.EntityInteraction)
	var rows []any
	for n, id := range []string{"con", "..", "a/b", `a\b`, "nul.", strings.Repeat("x", 256), "\u202e"} {
		rows = append(rows, row(fmt.Sprint("i", n), id, at(n)))
	}
	d.part("", rows...)
	for path := range d.pages(pages.Options{}) {
		if !regexp.MustCompile(`^(index|contacts/[0-9]{4}/[0-9]{6})\.html$`).MatchString(path) {
			t.Errorf("a page is named %s", path)
		}
	}
}
