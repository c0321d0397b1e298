package docs

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cdds/ops/config"
	"cdds/schemas"
)

// top is the project's directory.
const top = "../.."

// elsewhere are pages whose commands other tests execute.
var elsewhere = map[string]string{"clients.md": "cdds/ops/proof/clients", "README.md": "TestTheREADMERunsAsPastedInACleanClone"}

// languages are those of blocks: sh is executed, json and yaml are read, the others are shown.
var languages = []string{"sh", "json", "yaml", "sql", "text", ""}

// page is a Markdown file: its fenced blocks, steps in the console, links and headings.
type page struct {
	file     string
	blocks   []block
	steps    []step // in the console; tutorials have them
	links    []string
	headings []string // as GitHub makes anchors of them
}

// block is a fenced block. What is behind its language says what it needs: a program
// that not every machine has ("sh needs=docker").
type block struct {
	line                  int
	language, needs, text string
	schema                string // of an example in JSON
}

var (
	fence   = regexp.MustCompile("^```([a-z]*)(?: needs=([\\w,-]+))?(?: schema=([a-z-]+))?$")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`^#+ (.*)$`)
	secrets = regexp.MustCompile(`/run/secrets/[\w./-]+`)
	noise   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// pages reads the README, ops/docs and its tutorials.
func pages(t *testing.T) (all []page) {
	t.Helper()
	files, err := filepath.Glob("*.md")
	check(t, err)
	tutorials, err := filepath.Glob("tutorials/*.md")
	check(t, err)
	if len(tutorials) == 0 {
		t.Error("there are no tutorials")
	}
	files = append(files, tutorials...)
	for _, file := range append([]string{top + "/README.md"}, files...) {
		content, err := os.ReadFile(file)
		check(t, err)
		p := page{file: file}
		var inside *block
		for n, line := range strings.Split(string(content), "\n") {
			if match := fence.FindStringSubmatch(line); match != nil || strings.HasPrefix(strings.TrimSpace(line), "```") {
				switch {
				case match == nil:
					t.Errorf("%s:%d: %q is no way to begin a block", file, n+1, line)
				case inside == nil && !has(languages, match[1]):
					t.Errorf("%s:%d: no test looks at %q; commands are sh", file, n+1, match[1])
					inside = &block{line: n + 1}
				case inside != nil:
					p.blocks, inside = append(p.blocks, *inside), nil
				default:
					inside = &block{line: n + 1, language: match[1], needs: match[2], schema: match[3]}
				}
				continue
			}
			if inside != nil {
				inside.text += line + "\n"
				continue
			}
			if match := item.FindStringSubmatch(line); match != nil && strings.HasPrefix(file, "tutorials/") {
				p.steps = append(p.steps, step{line: n + 1, text: match[1]})
			} else if last := len(p.steps) - 1; last >= 0 && strings.HasPrefix(line, "   ") {
				p.steps[last].text += "\n" + strings.TrimSpace(line)
			}
			if match := heading.FindStringSubmatch(line); match != nil {
				p.headings = append(p.headings, strings.ReplaceAll(noise.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
			}
			for _, match := range link.FindAllStringSubmatch(line, -1) {
				p.links = append(p.links, match[1])
			}
		}
		if inside != nil {
			t.Errorf("%s:%d: the block has no end", file, inside.line)
		}
		all = append(all, p)
	}
	return all
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	headings := map[string][]string{}
	all := pages(t)
	for _, p := range all {
		headings[filepath.Clean(p.file)] = p.headings
	}
	followed := 0
	for _, p := range all {
		for _, to := range p.links {
			if strings.Contains(to, "://") {
				continue // the network is not the page's
			}
			followed++
			file, anchor, _ := strings.Cut(to, "#")
			target := filepath.Clean(p.file)
			if file != "" {
				target = filepath.Join(filepath.Dir(p.file), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", p.file, to, err)
				continue
			}
			known := strings.HasSuffix(target, ".md") && has(headings[target], anchor)
			if anchor != "" && !known {
				t.Errorf("%s links to %s: there is no such heading", p.file, to)
			}
		}
	}
	t.Logf("followed %d links", followed)
}

func TestEveryPageIsInTheIndex(t *testing.T) {
	all := pages(t)
	for _, p := range all[1:] {
		if !has(all[0].links, "ops/docs/"+p.file) {
			t.Errorf("the README does not link to %s", p.file)
		}
	}
}

func TestEveryExampleIsValid(t *testing.T) {
	valid := map[string]func([]byte) error{
		"interaction":    func(b []byte) error { _, err := schemas.DecodeInteraction(b); return err },
		"contact":        func(b []byte) error { _, err := schemas.DecodeContact(b); return err },
		"export-request": func(b []byte) error { r, err := schemas.DecodeExportRequest(b); return errors.Join(err, r.Validate()) },
	}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			switch b.language {
			case "json":
				check := valid[b.schema]
				if check == nil {
					t.Errorf("%s:%d: schema %q is unknown here", p.file, b.line, b.schema)
				} else if err := check([]byte(b.text)); err != nil {
					t.Errorf("%s:%d: %v", p.file, b.line, err)
				}
			case "yaml":
				file, secret := filepath.Join(t.TempDir(), "cdds.yaml"), filepath.Join(t.TempDir(), "secret")
				check(t, os.WriteFile(secret, []byte("s3cret"), 0o600))
				check(t, os.WriteFile(file, secrets.ReplaceAll([]byte(b.text), []byte(secret)), 0o600))
				if _, err := config.Load(file, nil); err != nil {
					t.Errorf("%s:%d: %v", p.file, b.line, err)
				}
			}
		}
	}
}

func has(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
