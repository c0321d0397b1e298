// Package site makes the pages of ops/docs into a web site: navigation, search over all of
// them, light and dark. It consists of files that refer to nothing else, so any server of
// files serves it, without a network; the web role does at /docs/.
package site

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"cdds/ops/docs"
)

//go:embed static
var static embed.FS

// Prefix is where a server has the site.
const Prefix = "/docs"

// Policy is the Content-Security-Policy that the pages need.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// group is pages that the navigation shows together.
type group struct {
	Title string
	Names []string
}

// groups are all pages, as people look for them.
var groups = []group{
	{"Tutorials", []string{"tutorials/administrator", "tutorials/operator", "tutorials/receiver", "tutorials/producer", "tutorials/privacy-officer"}},
	{"How to", []string{"operate", "secure", "backup", "kubernetes", "cluster", "clients", "sync", "privacy", "tracing", "troubleshooting", "runbooks"}},
	{"Reference", []string{"cli", "api", "events", "formats", "names", "metrics", "ciphers", "audit", "glossary"}},
	{"Explanation", []string{"concepts", "guarantees", "performance", "benchmarks", "scale", "many", "simulation", "supply-chain"}},
}

// index is the name of the first page.
const index = "index"

// page is one page of the site.
type page struct {
	Name, Title string
	// About is its first paragraph, as text.
	About string
	Body  template.HTML
	// sections are what a search finds.
	sections []section
}

// File is the page's file, below the site.
func (p page) File() string { return p.Name + ".html" }

// Short is the page's title among others of its group.
func (p page) Short() string {
	title := strings.TrimPrefix(p.Title, "Tutorial: ")
	return strings.ToUpper(title[:1]) + title[1:]
}

// section is a heading with what stands below it. A search finds it.
type section struct {
	URL   string `json:"u"`
	Page  string `json:"p"`
	Title string `json:"t"`
	Text  string `json:"x"`
}

// view is what a page is rendered from.
type view struct {
	page
	// Top leads from the page to the top of the site.
	Top    string
	Groups []shownGroup
}

type shownGroup struct {
	Title string
	Pages []page
}

// Files are the files of the site by path, such as tutorials/receiver.html.
var Files = sync.OnceValues(func() (map[string][]byte, error) {
	files, nav, sections := map[string][]byte{}, []shownGroup{}, []section{}
	all := []page{}
	for _, g := range groups {
		shown := shownGroup{Title: g.Title}
		for _, name := range g.Names {
			source, err := fs.ReadFile(docs.Pages, name+".md")
			if err != nil {
				return nil, err
			}
			p, err := read(name, source)
			if err != nil {
				return nil, fmt.Errorf("%s.md: %w", name, err)
			}
			shown.Pages = append(shown.Pages, p)
			sections = append(sections, p.sections...)
		}
		nav, all = append(nav, shown), append(all, shown.Pages...)
	}
	layout, err := template.ParseFS(static, "static/page.html")
	if err != nil {
		return nil, err
	}
	for _, p := range append(all, page{Name: index, Title: "CDDS documentation"}) {
		var b bytes.Buffer
		if err := layout.Execute(&b, view{p, strings.Repeat("../", strings.Count(p.Name, "/")), nav}); err != nil {
			return nil, err
		}
		files[p.File()] = b.Bytes()
	}
	found, err := json.Marshal(sections)
	if err != nil {
		return nil, err
	}
	files["sections.js"] = slices.Concat([]byte("const sections = "), found, []byte(";\n"))
	for _, name := range []string{"docs.css", "docs.js"} {
		if files[name], err = static.ReadFile("static/" + name); err != nil {
			return nil, err
		}
	}
	drawings, err := fs.Glob(docs.Pages, "*.svg")
	for _, name := range drawings {
		if files[name], err = docs.Pages.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return files, err
})

// Handler serves the site below Prefix. It needs no sign-in: the pages hold no customer data.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		files, err := Files()
		if err != nil {
			http.Error(w, "the documentation could not be made", http.StatusInternalServerError)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, Prefix+"/")
		if name == "" {
			name = index + ".html"
		}
		content, ok := files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", Policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "private, max-age=3600")
		http.ServeContent(w, r, path.Base(name), time.Time{}, bytes.NewReader(content))
	})
}
