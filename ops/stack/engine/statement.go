package engine

import (
	"fmt"
	"regexp"
	"strings"
)

// statement is what the front knows about a query before the engine sees it.
type statement struct {
	sql    string
	rows   bool // answers with rows: try to stream them
	format string

	// An INSERT whose data is not in the text: the text up to where FROM
	// INFILE belongs, and the rest up to the format's name.
	insert         bool
	head, settings string
}

// parseStatement looks at a query far enough to keep data apart from text. An
// INSERT's data has to come as the request body: libchdb cuts the text of a
// query at the first empty line and executes the rest as SQL, so a row of JSON
// could drop a table.
func parseStatement(sql string) (statement, error) {
	st := statement{sql: sql}
	tokens := trimSemicolons(significant(sql))
	if len(tokens) == 0 {
		return st, refuse(codeSyntaxError, "SYNTAX_ERROR", "Empty query")
	}
	for i, t := range tokens {
		open := i == len(tokens)-1 && (t.depth > 0 || strings.Contains("([{", t.text))
		if t.kind == broken || t.depth < 0 || open {
			return st, refuse(codeSyntaxError, "SYNTAX_ERROR", "Syntax error: failed at position %d, a quote, comment or bracket without its other end", t.pos)
		}
	}
	switch first := tokens[0]; {
	case first.is("SELECT"), first.is("WITH"), first.is("FROM"), first.text == "(":
		st.rows = true
	}
	insert := -1
	for i, t := range tokens {
		if t.is("INSERT") && t.depth == 0 && i+1 < len(tokens) && (tokens[i+1].is("INTO") || i == 0) {
			insert = i
			break
		}
	}
	if insert < 0 {
		st.format = lastFormat(tokens)
		return st, nil
	}
	st.rows = st.rows && insert > 0 // WITH ... INSERT INTO ... SELECT is refused by the stream call, then run
	return parseInsert(st, tokens, insert)
}

func trimSemicolons(tokens []token) []token {
	for len(tokens) > 0 && tokens[len(tokens)-1].text == ";" {
		tokens = tokens[:len(tokens)-1]
	}
	return tokens
}

// lastFormat is the name in a FORMAT clause of a query that answers with rows.
func lastFormat(tokens []token) string {
	for i := len(tokens) - 2; i > 0; i-- {
		if t := tokens[i]; t.depth == 0 && t.is("FORMAT") && tokens[i+1].kind == word {
			return tokens[i+1].text
		}
	}
	return ""
}

func parseInsert(st statement, tokens []token, insert int) (statement, error) {
	settings := -1
	for i := insert + 1; i < len(tokens); i++ {
		t, named := tokens[i], isName(tokens, i)
		switch {
		case t.depth != 0 || named:
		case t.is("SELECT"), t.is("WITH"), t.is("FROM"): // INSERT ... SELECT, or an INFILE of the caller's
			return st, refuseData(tokens[i:])
		case t.is("SETTINGS") && settings < 0:
			settings = i
		case t.is("VALUES") && i+1 < len(tokens):
			return st, refuseStatements(tokens[i+1:])
		case t.is("VALUES"):
			return st.withBody(tokens, settings, i, "Values"), nil
		case t.is("FORMAT") && i+1 < len(tokens):
			if len(tokens) > i+2 {
				return st, refuseData(tokens[i:])
			}
			return st.withBody(tokens, settings, i, tokens[i+1].text), nil
		}
	}
	return st.withBody(tokens, settings, len(tokens), "Values"), nil
}

// isName reports whether tokens[i] stands where only a name can.
func isName(tokens []token, i int) bool {
	prev := tokens[i-1]
	return prev.is("INTO") || prev.is("TABLE") || prev.is("FUNCTION") || prev.text == "." ||
		i+1 < len(tokens) && tokens[i+1].text == "."
}

// withBody makes st an INSERT of the request's body: what stands before
// tokens[end].
func (st statement) withBody(tokens []token, settings, end int, format string) statement {
	from := end
	if settings >= 0 {
		from = settings
	}
	st.insert, st.format, st.rows = true, format, false
	st.head, st.settings = text(tokens[:from]), text(tokens[from:end])
	return st
}

// text is tokens with one space wherever there were white space or comments,
// so that no empty line is left outside of quotes.
func text(tokens []token) string {
	var b strings.Builder
	for i, t := range tokens {
		if i > 0 && t.pos > tokens[i-1].pos+len(tokens[i-1].text) {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return b.String()
}

// refuseData allows a FORMAT clause only at the end.
func refuseData(tokens []token) error {
	for i, t := range tokens {
		if t.depth == 0 && t.is("FORMAT") && i > 0 && isName(tokens, i) {
			continue
		}
		if t.depth == 0 && t.is("FORMAT") && len(tokens) > i+2 && !tokens[i+2].is("SETTINGS") {
			return refuse(codeNotImplemented, "NOT_IMPLEMENTED",
				"Data after FORMAT in the text of a query is not accepted: send the INSERT in the URL parameter query and the data as the request body")
		}
	}
	return nil
}

// refuseStatements allows rows of VALUES and nothing behind them.
func refuseStatements(tokens []token) error {
	for _, t := range tokens {
		if t.depth == 0 && t.text != "(" && t.text != ")" && t.text != "," {
			return refuse(codeSyntaxError, "SYNTAX_ERROR", "Syntax error: %q follows the rows of VALUES at position %d", t.text, t.pos)
		}
	}
	return nil
}

// fromFile is the INSERT reading its data from a file, which keeps defaults,
// types and materialized views working as with FORMAT.
func (st statement) fromFile(path string) string {
	return fmt.Sprintf("%s FROM INFILE %s COMPRESSION 'none' %s FORMAT %s", st.head, sqlString(path), st.settings, st.format)
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// setStatement is one SET of all settings, or "".
func setStatement(settings []param) string {
	var b strings.Builder
	for i, s := range settings {
		b.WriteString([]string{"SET ", ", "}[min(i, 1)])
		b.WriteString(s.name + " = " + sqlString(s.value))
	}
	return b.String()
}
