package clients

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rows of the exports that are fetched and opened.
const rows = 200

// columns are those of the table in ciphers.md, and exports of the same rows.
var columns = []struct{ id, heading, choice string }{
	{"cbc-v15", "CBC, PKCS#1 v1.5", ""},
	{"cbc-oaep", "CBC, OAEP", "--key-transport rsa-oaep"},
	{"gcm-v15", "GCM, PKCS#1 v1.5", "--cipher aes-256-gcm"},
	{"gcm-oaep", "GCM, OAEP", "--cipher aes-256-gcm --key-transport rsa-oaep"},
}

// fill makes the exports, and downloads each with cdds into sealed/ID.
func (d *desk) fill(t *testing.T) {
	t.Helper()
	var lines strings.Builder
	for n := range rows {
		fmt.Fprintf(&lines, `{"interaction_id":"i-%d","tenant_id":"acme","media_type":"chat","started_at":"2026-08-01T10:00:00.000Z","text":"line %d"}`+"\n", n, n*7919)
	}
	check(t, os.WriteFile(d.dir+"/history.jsonl", []byte(lines.String()), 0o600))
	d.run(t, "bin/cdds import interactions history.jsonl")
	var script strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&script, "bin/cdds export create --id %s --tenant acme --from 2026-08-01 --to 2026-08-02 --recipient $FINGERPRINT %s\n", c.id, c.choice)
	}
	d.run(t, script.String())
	for _, c := range columns {
		if got := d.await(t, c.id); got != rows {
			t.Fatalf("%s has %d rows", c.id, got)
		}
		d.run(t, "bin/cdds export download "+c.id+" --tenant acme --out sealed/"+c.id)
	}
}

// fetch runs the blocks that fetch from S3 and compares every file with what cdds got.
func (d *desk) fetch(t *testing.T) {
	for _, b := range chapter(t, "Fetch") {
		t.Run(b.section, func(t *testing.T) {
			d := d.beside(t)
			d.need(t, b)
			id := columns[0].id
			said := d.run(t, b.text, "EXPORT="+id)
			d.run(t, "bin/cdds verify fetched --signer .cdds/service/cert.pem")
			want := files(t, d.dir+"/sealed/"+id)
			if got := files(t, d.dir+"/fetched"); !maps.Equal(got, want) {
				t.Errorf("fetched were %q, stored are %q, or their contents differ", slices.Collect(maps.Keys(got)), slices.Collect(maps.Keys(want)))
			}
			for name := range want {
				if !strings.Contains(said, name) {
					t.Errorf("%s is not listed: %s", name, said)
				}
			}
		})
	}
}

// open runs the block of every reader on every cipher and key transport, and compares
// what came of it with the table of ciphers.md.
func (d *desk) open(t *testing.T) {
	table := readers(t)
	want, err := os.ReadFile(d.dir + "/history.jsonl")
	check(t, err)
	all := chapter(t, "Open")
	toDER, all := all[0], all[1:]
	for _, b := range all {
		t.Run(b.section, func(t *testing.T) {
			d.need(t, b)
			promised, ok := table[b.section]
			if !ok {
				t.Fatalf("ciphers.md has no row %q", b.section)
			}
			for _, c := range columns {
				got, said, err := d.beside(t).opened(t, c.id, toDER.text+b.text)
				opens := err == nil && sorted(got) == sorted(string(want))
				switch {
				case opens == promised[c.heading]:
				case opens && slices.Contains([]string{"gpgsm", "nss", ""}, b.needs):
					t.Logf("%s opens what the table, which knows an older one, says it does not", c.heading)
				default:
					t.Errorf("%s: opens: %v, the table says %v: %v\n%s", c.heading, opens, promised[c.heading], err, said)
				}
			}
		})
	}
	if len(all) != len(table) {
		t.Errorf("the table has %d rows, and %d of them an example", len(table), len(all))
	}
}

// opened is the text of an export's one part after a reader's script.
func (d *desk) opened(t *testing.T, id, script string) (text, said string, err error) {
	t.Helper()
	parts, err := filepath.Glob(d.dir + "/sealed/" + id + "/*.p7m")
	check(t, err)
	if len(parts) != 1 {
		t.Fatalf("%s has %d parts", id, len(parts))
	}
	check(t, os.Symlink(parts[0], d.dir+"/part.p7m"))
	check(t, os.Symlink("sealed/"+id, d.dir+"/fetched"))
	if said, err = d.try(t, script); err != nil {
		return "", said, err
	}
	text, err = d.try(t, "if [ -d plain ]; then cat plain/*.jsonl; else unzip -p part.zip; fi")
	return text, said, err
}

// readers reads the table of who opens what, by reader and heading.
func readers(t *testing.T) map[string]map[string]bool {
	t.Helper()
	page, err := os.ReadFile(top + "/ops/docs/ciphers.md")
	check(t, err)
	_, after, ok := strings.Cut(string(page), "\n| reader |")
	if !ok {
		t.Fatal("ciphers.md has no table of readers")
	}
	after, _, _ = strings.Cut(after, "\n\n")
	bar := regexp.MustCompile(`\s*\|\s*`)
	lines := strings.Split(after, "\n")
	headings := bar.Split(strings.Trim(lines[0], "| "), -1)
	table := map[string]map[string]bool{}
	for _, line := range lines[2:] {
		cells := bar.Split(strings.Trim(line, "| "), -1)
		row := map[string]bool{}
		for n, cell := range cells[1:] {
			if cell != "yes" && cell != "no" {
				t.Fatalf("%q is neither yes nor no: %s", cell, line)
			}
			row[headings[n]] = cell == "yes"
		}
		table[cells[0]] = row
	}
	for _, c := range columns {
		if !slices.Contains(headings, c.heading) {
			t.Fatalf("ciphers.md has no column %q", c.heading)
		}
	}
	return table
}

// beside is the same desk in a directory of its own, for what one client writes.
func (d *desk) beside(t *testing.T) *desk {
	t.Helper()
	other := *d
	other.dir = t.TempDir()
	for _, name := range []string{"bin", ".tools", ".cdds", "cert.pem", "key.pem", "sealed"} {
		check(t, os.Symlink(filepath.Join(d.dir, name), filepath.Join(other.dir, name)))
	}
	return &other
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		all[name] = string(content)
		return err
	})
	check(t, err)
	return all
}

func sorted(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
