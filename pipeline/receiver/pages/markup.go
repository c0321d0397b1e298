package pages

import (
	"bytes"
	"html"
	"net/url"
	"strings"
)

// markup is a page in the making. Templates would hold every method of everything in the program,
// 5 MB of it: the linker cannot tell which of them they call.
type markup struct{ bytes.Buffer }

// tags are our own. What was exported is a string, and does not compile as one.
type tags string

// put adds tags.
func (m *markup) put(t tags) { m.WriteString(string(t)) }

// text adds what strangers wrote, as text and not as markup, inside of an element or of an
// attribute between quotes.
func (m *markup) text(s string) {
	m.WriteString(html.EscapeString(strings.ReplaceAll(s, "\x00", "\ufffd")))
}

// in adds a text between tags.
func (m *markup) in(before tags, s string, after tags) {
	m.put(before)
	m.text(s)
	m.put(after)
}

// given is in, where there is a text.
func (m *markup) given(before tags, s string, after tags) {
	if s != "" {
		m.in(before, s, after)
	}
}

// href adds a relative path as the value of an attribute.
func (m *markup) href(path string) { m.text((&url.URL{Path: path}).EscapedPath()) }

// head begins a page.
func (m *markup) head(title string, made tags) {
	m.put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
	m.in(`<meta http-equiv="Content-Security-Policy" content="`, policy, "\">\n")
	m.put("<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
	m.put(made)
	m.in("<title>", title, "</title>\n")
	m.put("<style>" + tags(style) + "</style>\n</head>\n<body>\n" + tags(icons))
}

// facts adds the inside of a list of facts.
func (m *markup) facts(all []fact) {
	for _, f := range all {
		m.in("<div><dt>", f.Name, "</dt>")
		m.in(`<dd dir="auto">`, f.Value, "</dd></div>\n")
	}
}

// face adds what stands for a picture of a contact.
func (m *markup) face(name string) {
	if all := initials(name); all != "" {
		m.text(all)
		return
	}
	m.put(`<svg class="i"><use href="#i-user"/></svg>`)
}

// pager adds the way to the pages before and after.
func (m *markup) pager(before, next string) {
	if before == "" && next == "" {
		return
	}
	m.put(`<nav class="pager" aria-label="Pages"><span>`)
	if before != "" {
		m.put(`<a href="`)
		m.href(before)
		m.put(`" rel="prev">Previous page</a>`)
	}
	m.put("</span><span>")
	if next != "" {
		m.put(`<a href="`)
		m.href(next)
		m.put(`" rel="next">Next page</a>`)
	}
	m.put("</span></nav>\n")
}
