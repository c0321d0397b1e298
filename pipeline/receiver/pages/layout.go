package pages

import "strconv"

// list adds a page of the list.
func (m *markup) list(v listView) {
	m.head(v.Title, v.Made)
	m.in(`<header><div><svg class="i" aria-hidden="true"><use href="#i-logo"/></svg><b>CDDS</b> Export `, v.Manifest.ExportID, " of ")
	m.in("", v.Manifest.TenantID, "</div></header>\n<main>\n")
	m.in("<h1>", v.Title, "</h1>\n")
	m.in(`<p class="dim">`, v.About, "")
	if v.Pages > 1 {
		m.in(". Page ", strconv.Itoa(v.Page), " of ")
		m.text(strconv.Itoa(v.Pages))
	}
	m.put("</p>\n<div class=\"columns\">\n<div>\n")
	if len(v.Cards) == 0 {
		m.put("<p class=\"card\">The export has no rows.</p>\n")
	} else {
		m.put("<ul class=\"card list\">\n")
		for _, c := range v.Cards {
			m.card(c)
		}
		m.put("</ul>\n")
	}
	m.pager(v.Before, v.Next)
	m.put("</div>\n<div class=\"side\">\n")
	if v.Page == 1 {
		m.side(v)
	}
	m.put("</div>\n</div>\n</main>\n</body>\n</html>\n")
}

// card adds a contact to the list.
func (m *markup) card(c card) {
	m.put(`<li><a href="`)
	m.href(c.Path)
	m.put(`"><span class="face" aria-hidden="true">`)
	m.face(c.Name)
	m.in("</span><span><b><bdi>", c.Shown(), "</bdi></b>")
	if c.Name != "" {
		m.given(`<code dir="auto">`, c.ID, "</code>")
	}
	m.in(`</span><span class="end">`, c.Counted(), "<small>")
	m.in("", c.Range(), "</small></span></a></li>\n")
}

// side adds what the export is.
func (m *markup) side(v listView) {
	m.put("<section class=\"card\"><h2>This export</h2><dl>\n")
	m.facts(v.Facts)
	m.in("<div><dt>SHA-256 of the manifest</dt><dd><code>", v.Digest, "</code></dd></div>\n</dl></section>\n")
	if len(v.Missing) > 0 {
		m.in(`<section class="card"><h2>Nothing found</h2><p class="dim">The export names `, v.MissingCount,
			` of whom nothing is stored in its range:</p><details><summary>Show</summary><ul class="plain">`)
		for _, id := range v.Missing {
			m.in(`<li><code dir="auto">`, id, "</code></li>")
		}
		m.put("</ul></details></section>\n")
	}
	m.put(`<section class="card"><h2>Files</h2><p class="dim">The rows as they were exported:</p><ul class="plain">`)
	for _, name := range v.Files {
		m.in("<li><code>", name, "</code></li>")
	}
	m.put("</ul></section>\n")
}

// person adds a page of a contact.
func (m *markup) person(v personPage) {
	m.head(v.Name, "")
	m.put(`<header><div><svg class="i" aria-hidden="true"><use href="#i-logo"/></svg><b>CDDS</b> <a href="`)
	m.href(v.Home)
	m.put("\">All contacts</a></div></header>\n<main>\n<section class=\"card\">\n<div class=\"who\"><span class=\"face big\" aria-hidden=\"true\">")
	m.face(v.Known)
	m.in("</span><div><h1><bdi>", v.Name, "</bdi></h1>")
	if v.Known != "" {
		m.given(`<code class="faint" dir="auto">`, v.ID, "</code>")
	}
	m.put("</div></div>\n")
	switch {
	case len(v.Facts) > 0:
		m.put("<dl class=\"wide\">\n")
		m.facts(v.Facts)
		m.put("</dl>\n")
	case v.ID != "" && !v.Row:
		m.put("<p class=\"dim about\">The export does not have the contact itself, only its interactions.</p>\n")
	}
	m.given(`<div class="notes" dir="auto"><b>Notes</b>`, v.Notes, "</div>\n")
	m.in("</section>\n<p class=\"dim about\">", v.About(), " Times are UTC.</p>\n")
	m.put(v.Body)
	m.pager(v.Before, v.Next)
	m.put("</main>\n</body>\n</html>\n")
}

// conversation adds an interaction.
func (m *markup) conversation(c *conversation) {
	m.given(`<h2 class="month">`, c.Month, "</h2>\n")
	m.in("<article class=\"card\">\n<div class=\"top\"><span class=\"mark\"><svg class=\"i\" aria-hidden=\"true\"><use href=\"", icon(c.Media), `"/></svg></span>`)
	m.in("<div><h3><bdi>", c.Heading(), `</bdi></h3><p class="facts">`)
	m.in(`<time datetime="`, c.Machine, `">`)
	m.in("", c.When, "</time>")
	m.in("<span>", c.Kind(), "</span>")
	for _, f := range c.Facts {
		m.in("<span><i>", f.Name, "</i> ")
		m.in("<bdi>", f.Value, "</bdi></span>")
	}
	m.put("</p></div>")
	m.given(`<span class="pill"><bdi>`, c.Status, "</bdi></span>")
	m.put("</div>\n")
	if len(c.Turns) > 0 {
		m.put("<ol class=\"turns\">\n")
		for _, t := range c.Turns {
			m.put("<li")
			if t.Theirs {
				m.put(` class="theirs"`)
			}
			m.in(` dir="auto"><small>`, t.Speaker, "</small>")
			m.in("", t.Text, "</li>\n")
		}
		m.put("</ol>\n")
	} else {
		m.given(`<div class="said" dir="auto">`, c.Text, "</div>\n")
	}
	m.given(`<div class="notes" dir="auto"><b>Notes</b>`, c.Notes, "</div>\n")
	if len(c.Attachments) > 0 {
		m.put("<ul class=\"files\">\n")
		for _, f := range c.Attachments {
			m.file(f)
		}
		m.put("</ul>\n")
	}
	if len(c.Rest) > 0 {
		m.put("<details><summary>All members</summary><dl class=\"wide\">\n")
		m.facts(c.Rest)
		m.put("</dl></details>\n")
	}
	m.put("</article>\n")
}

// file adds an attachment.
func (m *markup) file(f file) {
	m.put(`<li><svg class="i" aria-hidden="true"><use href="#i-file"/></svg><span>`)
	if f.Linked {
		m.put(`<a href="`)
		m.href(f.Href())
		m.in(`"><bdi>`, f.Name, "</bdi></a>")
	} else {
		m.in("<bdi>", f.Name, "</bdi>")
	}
	m.given(`<small dir="auto">`, f.About, "</small>")
	switch {
	case f.Problem != "":
		m.in(`<small class="warn" dir="auto">Not there: `, f.Problem, "</small>")
	case !f.Linked:
		m.in(`<small class="warn">Not linked, since a browser could run it: <code>`, f.Path, "</code></small>")
	}
	m.put("</span></li>\n")
}
