package site

import (
	"bytes"
	"html/template"
	"path"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

// markdown reads pages. Alignment is an attribute: the site's policy allows no styles of elements.
var markdown = goldmark.New(
	goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(html.WithXHTML()),
)

// read makes a page of its Markdown.
func read(name string, source []byte) (p page, err error) {
	p.Name = name
	doc := markdown.Parser().Parse(text.NewReader(source))
	retarget(name, doc)
	here := section{URL: p.File()}
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		said := strings.Join(strings.Fields(textOf(n, source)), " ")
		if h, ok := n.(*ast.Heading); ok {
			if p.Title == "" {
				p.Title = said
			} else {
				p.sections = append(p.sections, here)
			}
			here = section{URL: p.File(), Page: p.Title, Title: said}
			if id, ok := h.AttributeString("id"); ok && h.Level > 1 {
				here.URL += "#" + string(id.([]byte))
			}
			continue
		}
		if n.Kind() == ast.KindHTMLBlock {
			continue
		}
		if p.About == "" && n.Kind() == ast.KindParagraph {
			p.About = said
		}
		here.Text += said + " "
	}
	p.sections = append(p.sections, here)
	var body bytes.Buffer
	err = markdown.Renderer().Render(&body, source, doc)
	p.Body = template.HTML(strings.ReplaceAll(body.String(), "<!-- raw HTML omitted -->", "")) //nolint:gosec // of our own pages
	return p, err
}

// retarget makes links to other pages links of the site. A target outside the site, such as a
// schema, is named and not linked.
func retarget(name string, doc ast.Node) {
	var outside []*ast.Link
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if link, ok := n.(*ast.Link); ok && entering {
			to, fragment, anchored := strings.Cut(string(link.Destination), "#")
			switch {
			case strings.Contains(to, "://") || to == "":
				return ast.WalkContinue, nil
			case strings.HasPrefix(path.Join(path.Dir(name), to), ".."):
				outside = append(outside, link)
			case strings.HasSuffix(to, ".md"):
				if to = strings.TrimSuffix(to, ".md") + ".html"; anchored {
					to += "#" + fragment
				}
				link.Destination = []byte(to)
			}
		}
		return ast.WalkContinue, nil
	})
	for _, link := range outside {
		named := ast.NewEmphasis(1)
		for c := link.FirstChild(); c != nil; c = link.FirstChild() {
			named.AppendChild(named, c)
		}
		link.Parent().ReplaceChild(link.Parent(), link, named)
	}
}

// textOf is the text below a node.
func textOf(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch {
		case !entering:
			if n.Type() == ast.TypeBlock {
				b.WriteByte(' ')
			}
			return ast.WalkContinue, nil
		case n.Kind() == ast.KindText:
			t := n.(*ast.Text)
			b.Write(t.Value(source))
			if t.SoftLineBreak() || t.HardLineBreak() {
				b.WriteByte(' ')
			}
		case n.Kind() == ast.KindFencedCodeBlock || n.Kind() == ast.KindCodeBlock:
			for i := range n.Lines().Len() {
				at := n.Lines().At(i)
				b.Write(at.Value(source))
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}
