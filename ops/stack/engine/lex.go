package engine

import "strings"

// kind of a SQL token. Only what the front has to tell apart.
type kind uint8

const (
	space  kind = iota // white space and comments
	word               // keyword, identifier or number
	quoted             // 'string', "identifier", `identifier` or $tag$heredoc$tag$
	punct              // one other byte
	broken             // not SQL: a quote or comment that does not end, a lone #
)

// token is a piece of a statement; the tokens of a statement, joined, are the
// statement.
type token struct {
	kind  kind
	text  string
	pos   int // byte offset in the statement
	depth int // of parentheses, brackets and braces around it
}

// is reports whether the token is the given keyword, in any case.
func (t token) is(keyword string) bool { return t.kind == word && strings.EqualFold(t.text, keyword) }

// lex cuts SQL as ClickHouse's Lexer.cpp does.
func lex(sql string) []token {
	var tokens []token
	depth := 0
	for pos := 0; pos < len(sql); {
		k, n := next(sql[pos:])
		t := token{k, sql[pos : pos+n], pos, depth}
		switch {
		case k != punct:
		case strings.Contains("([{", t.text):
			depth++
		case strings.Contains(")]}", t.text):
			depth--
			t.depth = depth
		}
		tokens = append(tokens, t)
		pos += n
	}
	return tokens
}

// significant are the tokens of sql without white space and comments.
func significant(sql string) []token {
	var out []token
	for _, t := range lex(sql) {
		if t.kind != space {
			out = append(out, t)
		}
	}
	return out
}

// next is the kind and length of the first token of a text that is not empty.
func next(s string) (kind, int) {
	c := s[0]
	switch {
	case isSpace(c):
		n := 1
		for n < len(s) && isSpace(s[n]) {
			n++
		}
		return space, n
	case strings.HasPrefix(s, "--"), strings.HasPrefix(s, "#!"), strings.HasPrefix(s, "# "):
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			return space, i + 1
		}
		return space, len(s)
	case strings.HasPrefix(s, "/*"):
		return through(space, s, 2, "*/")
	case c == '\'' || c == '"' || c == '`':
		return quote(s)
	case c == '$':
		if tag := heredocTag(s); tag != "" {
			return through(quoted, s, len(tag), tag)
		}
		return punct, 1
	case c == '#':
		return broken, 1
	case isWord(c):
		n := 1
		for n < len(s) && isWord(s[n]) {
			n++
		}
		return word, n
	}
	return punct, 1
}

// quote is the quoted token s starts with: a backslash escapes one byte, a
// doubled quote is one quote.
func quote(s string) (kind, int) {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] != s[0]:
		case i+1 < len(s) && s[i+1] == s[0]:
			i++
		default:
			return quoted, i + 1
		}
	}
	return broken, len(s)
}

// heredocTag is the opening $tag$ of s, or "".
func heredocTag(s string) string {
	for i := 1; i < len(s); i++ {
		if s[i] == '$' {
			return s[:i+1]
		}
		if !isWord(s[i]) {
			return ""
		}
	}
	return ""
}

// through is a token of kind k from the start of s to the first end at or after
// from.
func through(k kind, s string, from int, end string) (kind, int) {
	if i := strings.Index(s[from:], end); i >= 0 {
		return k, from + i + len(end)
	}
	return broken, len(s)
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// sqlString is s as a ClickHouse string literal.
func sqlString(s string) string { return "'" + sqlEscaper.Replace(s) + "'" }

// sqlName is s as a quoted identifier.
func sqlName(s string) string { return "`" + sqlEscaper.Replace(s) + "`" }

var sqlEscaper = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "`", "\\`", "\n", `\n`, "\r", `\r`, "\t", `\t`, "\x00", `\0`)
