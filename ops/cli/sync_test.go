package cli_test

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // reads the copy as anybody does

	"cdds/schemas"
)

func TestAReceiverKeepsACopyThatIsAlwaysRight(t *testing.T) {
	dir, work := filepath.Join(t.TempDir(), "data"), t.TempDir()
	_, server := upAt(t, dir)
	lines := func(name string, texts ...string) string {
		file := filepath.Join(work, name)
		check(t, os.WriteFile(file, []byte(strings.Join(texts, "\n")+"\n"), 0o600))
		return file
	}
	row := func(id, media, text string) string {
		return `{"interaction_id":"` + id + `","tenant_id":"acme","media_type":"` + media + `","started_at":"2026-05-01T10:00:00Z","text":"` + text + `"}`
	}
	cdds(t, "--data-dir", dir, "import", "interactions", lines("one.jsonl", row("a", "chat", "first"), row("b", "chat", "stays"), row("c", "chat", "leaves"), row("d", "chat", "is erased")))
	cdds(t, "keygen", "--out-cert", work+"/cert.pem", "--out-key", work+"/key.pem")
	cdds(t, "--data-dir", dir, "certificate", "add", work+"/cert.pem", "--tenant", "acme", "--name", "receiver")
	cdds(t, "--data-dir", dir, "job", "create", "--tenant", "acme", "--id", "nightly", "--title", "Nightly", "--entity", "interaction", "--media", "chat", "--daily", "--at", "02:00", "--recipient", work+"/cert.pem", "--since-last-run")
	run := func() { t.Helper(); cdds(t, "--data-dir", dir, "job", "run", "nightly", "--tenant", "acme", "--wait") }
	var made struct{ Secret string }
	check(t, json.Unmarshal(cdds(t, "--data-dir", dir, "token", "create", "--tenant", "acme", "--role", "viewer", "--name", "sync", "--json"), &made))
	check(t, os.WriteFile(work+"/token", []byte(made.Secret), 0o600))
	sync := func(to string) []byte {
		t.Helper()
		return cdds(t, "sync", "--server", server, "--token-file", work+"/token", "--tenant", "acme", "--job", "nightly",
			"--cert", work+"/cert.pem", "--key", work+"/key.pem", "--signer", dir+"/service/cert.pem", "--to", to)
	}
	copied := func() string {
		t.Helper()
		db, err := sql.Open("sqlite", work+"/copy.sqlite")
		check(t, err)
		var all string
		err = db.QueryRowContext(t.Context(), "SELECT group_concat(interaction_id || ' ' || text, ', ' ORDER BY interaction_id) FROM interactions").Scan(&all)
		check(t, err)
		check(t, db.Close())
		return all
	}
	run()
	sync("sqlite:" + work + "/copy.sqlite")
	if got := copied(); got != "a first, b stays, c leaves, d is erased" {
		t.Fatalf("after the first run the copy has %q", got)
	}
	cdds(t, "--data-dir", dir, "import", "interactions", lines("two.jsonl", row("a", "chat", "second"), row("c", "voice", "left"), row("e", "chat", "new")))
	cdds(t, "--data-dir", dir, "erase", "--tenant", "acme", "--interaction", "d", "--wait")
	run()
	cdds(t, "--data-dir", dir, "import", "interactions", lines("three.jsonl", row("f", "chat", "newer")))
	run()
	if out := sync("sqlite:" + work + "/copy.sqlite"); !strings.Contains(string(out), "2 runs applied; the copy has 4 rows as of run 3") {
		t.Errorf("sync says %s", out)
	}
	const want = "a second, b stays, e new, f newer"
	if got := copied(); got != want {
		t.Errorf("the copy has %q, want %q", got, want)
	}
	if out := sync("sqlite:" + work + "/copy.sqlite"); !strings.Contains(string(out), "0 runs applied") {
		t.Errorf("once more, sync says %s", out)
	}

	// A receiver without a way to the server gets the same from files.
	var chain schemas.ChainRuns
	check(t, json.Unmarshal(cdds(t, "--data-dir", dir, "job", "chain", "nightly", "--tenant", "acme", "--json"), &chain))
	if len(chain.Runs) != 3 {
		t.Fatalf("the chain is %+v", chain)
	}
	for _, r := range chain.Runs {
		cdds(t, "--data-dir", dir, "export", "download", r.ExportID, "--tenant", "acme", "--out", filepath.Join(work, "carried", r.ExportID))
	}
	cdds(t, "sync", "--from", work+"/carried", "--cert", work+"/cert.pem", "--key", work+"/key.pem", "--signer", dir+"/service/cert.pem", "--to", "jsonl:"+work+"/files")
	content, err := os.ReadFile(work + "/files/interactions/2026-05.jsonl")
	check(t, err)
	for _, text := range []string{"second", "stays", "new", "newer"} {
		if !strings.Contains(string(content), text) {
			t.Errorf("the files lack %q: %s", text, content)
		}
	}
	if strings.Count(string(content), "\n") != 4 {
		t.Errorf("the files have %s", content)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
