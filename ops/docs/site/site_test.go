package site

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cdds/ops/docs"
)

var (
	links   = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	anchors = regexp.MustCompile(` id="([^"]*)"`)
	unsafe  = regexp.MustCompile(` style=| on[a-z]+=|<style|<script>|javascript:`)
)

func made(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEveryPageOfTheDocumentationIsInTheNavigationOnce(t *testing.T) {
	var named []string
	for _, g := range groups {
		named = append(named, g.Names...)
	}
	slices.Sort(named)
	var there []string
	err := fs.WalkDir(docs.Pages, ".", func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".md") {
			there = append(there, strings.TrimSuffix(name, ".md"))
		}
		return err
	})
	slices.Sort(there)
	if err != nil || !slices.Equal(named, there) {
		t.Errorf("the navigation has %q, and there are %q (%v)", named, there, err)
	}
}

func TestEveryLinkOfTheSiteLeadsSomewhereAndNothingComesFromElsewhere(t *testing.T) {
	files := made(t)
	followed := 0
	for name, content := range files {
		if path.Ext(name) != ".html" {
			continue
		}
		if bad := unsafe.Find(content); bad != nil {
			t.Errorf("%s has %q, which the policy forbids", name, bad)
		}
		for _, match := range links.FindAllSubmatch(content, -1) {
			to, anchor, anchored := strings.Cut(string(match[1]), "#")
			if strings.HasPrefix(to, "https://") && strings.HasPrefix(string(match[0]), "href") {
				continue
			}
			followed++
			at := name
			if to != "" {
				at = path.Join(path.Dir(name), to)
			}
			target, ok := files[at]
			if !ok {
				t.Errorf("%s links to %s, which is not there", name, match[1])
				continue
			}
			if anchored && anchor != "main" && !slices.ContainsFunc(anchors.FindAllSubmatch(target, -1), func(id [][]byte) bool { return string(id[1]) == anchor }) {
				t.Errorf("%s links to %s, and %s has no such heading", name, match[1], at)
			}
		}
	}
	if followed < 1000 {
		t.Errorf("only %d links were followed", followed)
	}
}

func TestTheSiteIsServedWithItsPolicyAndNothingElseIs(t *testing.T) {
	for at, want := range map[string]int{"/docs/": 200, "/docs/index.html": 200, "/docs/tutorials/receiver.html": 200, "/docs/sections.js": 200, "/docs/scale.svg": 200, "/docs/page.html": 404, "/docs/../secret": 404, "/docs/operate.md": 404} {
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, at, nil))
		if w.Code != want || want == 200 && w.Header().Get("Content-Security-Policy") != Policy {
			t.Errorf("%s answers %d with %v", at, w.Code, w.Header())
		}
	}
}
