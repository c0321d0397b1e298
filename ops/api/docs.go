package api

import (
	"cmp"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// docs is the OpenAPI document as one page without scripts or anything from elsewhere,
// so that it can be read where nothing else may be loaded.
func (a *API) docs(w http.ResponseWriter, _ *http.Request) {
	page := docsOf(a.huma.OpenAPI())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = docsTemplate().Execute(w, page)
}

type docsPage struct {
	Title, Description, Document string
	Groups                       []docsGroup
	Schemas                      []docsSchema
}

type docsGroup struct {
	Name       string
	Operations []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, Description string
	Parameters                             []*huma.Param
	Body                                   []docsBody
	Responses                              []docsResponse
}

type docsBody struct{ ContentType, Schema, Link string }

type docsResponse struct{ Status, Description, Schema, Link string }

type docsSchema struct{ Name, JSON string }

func docsOf(o *huma.OpenAPI) docsPage {
	page := docsPage{Title: o.Info.Title, Description: o.Info.Description, Document: Prefix + "/openapi.json"}
	groups := map[string][]docsOperation{}
	var order []string
	for path, item := range o.Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op == nil {
				continue
			}
			tag := op.Tags[0]
			if groups[tag] == nil {
				order = append(order, tag)
			}
			groups[tag] = append(groups[tag], docsOperationOf(method, path, op))
		}
	}
	slices.Sort(order)
	for _, name := range order {
		slices.SortFunc(groups[name], func(a, b docsOperation) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
		})
		page.Groups = append(page.Groups, docsGroup{name, groups[name]})
	}
	for name, schema := range o.Components.Schemas.Map() {
		text, err := json.MarshalIndent(schema, "", "  ")
		if err == nil {
			page.Schemas = append(page.Schemas, docsSchema{name, string(text)})
		}
	}
	slices.SortFunc(page.Schemas, func(a, b docsSchema) int { return cmp.Compare(a.Name, b.Name) })
	return page
}

func docsOperationOf(method, path string, op *huma.Operation) docsOperation {
	d := docsOperation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: op.Description, Parameters: op.Parameters}
	if op.RequestBody != nil {
		for contentType, media := range op.RequestBody.Content {
			name, link := nameOf(media)
			d.Body = append(d.Body, docsBody{contentType, name, link})
		}
		slices.SortFunc(d.Body, func(a, b docsBody) int { return cmp.Compare(a.ContentType, b.ContentType) })
	}
	for status, r := range op.Responses {
		answer := docsResponse{Status: status, Description: r.Description}
		for _, media := range r.Content {
			answer.Schema, answer.Link = nameOf(media)
		}
		d.Responses = append(d.Responses, answer)
	}
	slices.SortFunc(d.Responses, func(a, b docsResponse) int { return cmp.Compare(a.Status, b.Status) })
	return d
}

// nameOf is what a schema is called and where on the page it is.
func nameOf(media *huma.MediaType) (name, link string) {
	if media == nil || media.Schema == nil {
		return "", ""
	}
	if name, ok := strings.CutPrefix(media.Schema.Ref, "#/components/schemas/"); ok {
		return name, "#schema-" + name
	}
	return media.Schema.Type, ""
}

var docsTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}} API</title>
<style>
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow:auto;padding:1rem;border:1px solid #8886;border-radius:.4rem}
summary{cursor:pointer;padding:.3rem 0}.method{display:inline-block;min-width:4.5rem;font-weight:700}table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8883}section{margin:2rem 0}
details>div{margin:0 0 1rem 1rem}
</style></head><body>
<h1>{{.Title}} API</h1><p>{{.Description}}</p><p>The document: <a href="{{.Document}}">{{.Document}}</a></p>
<nav aria-label="Groups">{{range .Groups}}<a href="#{{.Name}}">{{.Name}}</a> {{end}}<a href="#schemas">Schemas</a></nav>
<main>{{range .Groups}}<section id="{{.Name}}"><h2>{{.Name}}</h2>
{{range .Operations}}<details id="{{.ID}}"><summary><span class="method">{{.Method}}</span> <code>{{.Path}}</code> {{.Summary}}</summary><div>
{{with .Description}}<p>{{.}}</p>{{end}}
{{if .Parameters}}<table><caption>Parameters</caption><tr><th>Name</th><th>In</th><th></th></tr>{{range .Parameters}}<tr><td><code>{{.Name}}</code>{{if .Required}} (required){{end}}</td><td>{{.In}}</td><td>{{.Description}}{{if .Schema}}{{with .Schema.Enum}} One of {{.}}.{{end}}{{with .Schema.Default}} Default {{.}}.{{end}}{{end}}</td></tr>{{end}}</table>{{end}}
{{if .Body}}<table><caption>Body</caption>{{range .Body}}<tr><td><code>{{.ContentType}}</code></td><td>{{if .Link}}<a href="{{.Link}}">{{.Schema}}</a>{{else}}{{.Schema}}{{end}}</td></tr>{{end}}</table>{{end}}
<table><caption>Answers</caption>{{range .Responses}}<tr><td>{{.Status}}</td><td>{{.Description}}</td><td>{{if .Link}}<a href="{{.Link}}">{{.Schema}}</a>{{else}}{{.Schema}}{{end}}</td></tr>{{end}}</table>
</div></details>{{end}}</section>{{end}}
<section id="schemas"><h2>Schemas</h2>{{range .Schemas}}<details id="schema-{{.Name}}"><summary><code>{{.Name}}</code></summary><pre>{{.JSON}}</pre></details>{{end}}</section></main>
</body></html>
`))
})
