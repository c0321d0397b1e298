package engine

import (
	"net/url"
	"strings"
	"testing"
)

func TestInsertIsTakenApartWithoutItsData(t *testing.T) {
	for sql, want := range map[string]string{ // "" is not an INSERT of the body, "!" is refused
		"INSERT INTO t FORMAT Native":                            "INSERT INTO t FROM INFILE 'f' COMPRESSION 'none'  FORMAT Native",
		"insert into t (a, `b c`)\n\nformat TSV ;\n-- end":       "insert into t (a, `b c`) FROM INFILE 'f' COMPRESSION 'none'  FORMAT TSV",
		"INSERT INTO d.t SETTINGS a = 1.5, b='x' FORMAT TSV":     "INSERT INTO d.t FROM INFILE 'f' COMPRESSION 'none' SETTINGS a = 1.5, b='x' FORMAT TSV",
		"INSERT INTO format FORMAT TSV":                          "INSERT INTO format FROM INFILE 'f' COMPRESSION 'none'  FORMAT TSV",
		"INSERT INTO values.settings FORMAT TSV":                 "INSERT INTO values.settings FROM INFILE 'f' COMPRESSION 'none'  FORMAT TSV",
		"INSERT INTO t VALUES":                                   "INSERT INTO t FROM INFILE 'f' COMPRESSION 'none'  FORMAT Values",
		"INSERT INTO t -- c\nFORMAT TSV":                         "INSERT INTO t FROM INFILE 'f' COMPRESSION 'none'  FORMAT TSV",
		"INSERT INTO t":                                          "INSERT INTO t FROM INFILE 'f' COMPRESSION 'none'  FORMAT Values",
		"INSERT INTO t VALUES (1), ('a\n\nDROP TABLE t');":       "",
		"INSERT INTO t SELECT 1":                                 "",
		"INSERT INTO t SELECT * FROM format":                     "",
		"WITH 1 AS x INSERT INTO t SELECT x":                     "",
		"SELECT 'INSERT INTO t FORMAT TSV\n1'":                   "",
		"SELECT insert FROM into":                                "",
		"INSERT INTO t FORMAT TSV 1":                             "!",
		"INSERT INTO t FORMAT TSV\n1\n":                          "!",
		"INSERT INTO t FORMAT JSONEachRow {}":                    "!",
		"INSERT INTO t SELECT 1 FORMAT TSV\nDROP TABLE t":        "!",
		"INSERT INTO t VALUES (1) DROP TABLE t":                  "!",
		"INSERT INTO t VALUES (1));(":                            "!",
		"INSERT INTO t VALUES (1); SELECT 1":                     "!",
		"-- nothing\n;":                                          "!",
		"":                                                       "!",
		"/* c */ INSERT INTO FUNCTION null('a Int8') FORMAT CSV": "INSERT INTO FUNCTION null('a Int8') FROM INFILE 'f' COMPRESSION 'none'  FORMAT CSV",
	} {
		st, err := parseStatement(sql)
		got := ""
		switch {
		case err != nil:
			got = "!"
		case st.insert:
			got = st.fromFile("f")
		}
		if got != want {
			t.Errorf("%q:\n got %q\nwant %q", sql, got, want)
		}
	}
}

// FuzzStatement: whatever the text, lexing loses nothing, and an INSERT of the
// body carries the caller's tokens and one file, and nothing behind its format.
func FuzzStatement(f *testing.F) {
	for _, sql := range []string{
		"INSERT INTO t FORMAT Native", "INSERT INTO t (a) SETTINGS x=1 FORMAT TSV -- c", "INSERT INTO t VALUES ('a''b\\'', 1)",
		"SELECT 'a\n\nb' /* c */, $x$ ' $x$, `q`, \"r\" FORMAT JSON", "WITH 1 AS x INSERT INTO t SELECT x", "# c\n#!c\n(", "INSERT INTO FORMAT FORMAT FORMAT",
	} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		var joined strings.Builder
		for _, tok := range lex(sql) {
			if tok.pos != joined.Len() || tok.text == "" {
				t.Fatalf("token %q at %d, want %d", tok.text, tok.pos, joined.Len())
			}
			joined.WriteString(tok.text)
		}
		if joined.String() != sql {
			t.Fatalf("lexing %q lost something: %q", sql, joined.String())
		}
		st, err := parseStatement(sql)
		if err != nil || !st.insert {
			return
		}
		tokens := trimSemicolons(significant(sql))
		want, got := words(tokens), words(significant(st.fromFile("f")))
		switch n := len(tokens); {
		case n > 2 && tokens[n-2].is("FORMAT") && !isName(tokens, n-2):
			want = want[:n-2]
		case n > 1 && tokens[n-1].is("VALUES") && !isName(tokens, n-1):
			want = want[:n-1]
		}
		want = append(want, "FORMAT", st.format)
		at := len(words(significant(st.head)))
		added := []string{"FROM", "INFILE", "'f'", "COMPRESSION", "'none'"}
		if len(got) != len(want)+len(added) {
			t.Fatalf("%q became %q", sql, got)
		}
		for i, w := range append(append(append([]string{}, want[:at]...), added...), want[at:]...) {
			if got[i] != w {
				t.Fatalf("%q became %q, token %d is not %q", sql, got, i, w)
			}
		}
	})
}

func words(tokens []token) []string {
	var out []string
	for _, t := range tokens {
		out = append(out, t.text)
	}
	return out
}

// FuzzRequest: every URL parameter is one of the interface's, a query
// parameter or a setting, and the statements made of them hold each value as
// one string and nothing else.
func FuzzRequest(f *testing.F) {
	for _, query := range []string{
		"query=SELECT+1&database=d&max_threads=1", "param_x=a%5Cn&default_format=Native&wait_end_of_query=1",
		"a%27=1", "readonly=2&zz=%27%2C+b%3D1&log_comment=x", "compress=1", "%zz", "x=%5C%27+--", "database=%60%3B+DROP&_a=%00%0a%0a",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r, err := parseRequest(query)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("accepted %q: %v", query, err)
		}
		for _, p := range r.params {
			if values.Get("param_"+p.name) != p.value {
				t.Fatalf("parameter %q = %q of %q", p.name, p.value, query)
			}
		}
		tokens := significant(setStatement(r.settings))
		if len(tokens) != 4*len(r.settings) {
			t.Fatalf("settings of %q became %q", query, setStatement(r.settings))
		}
		for i, s := range r.settings {
			name, value := tokens[4*i+1], tokens[4*i+3]
			if values.Get(s.name) != s.value || name.text != s.name || value.kind != quoted || unquote(value.text) != s.value {
				t.Fatalf("setting %q = %q became %q", s.name, s.value, words(tokens))
			}
			if s.name == "readonly" && i != len(r.settings)-1 {
				t.Fatal("readonly is not the last setting")
			}
		}
		if name := lex(sqlName(r.database)); len(name) != 1 || unquote(name[0].text) != r.database {
			t.Fatalf("database %q became %q", r.database, sqlName(r.database))
		}
	})
}

// unquote reads a quoted token as ClickHouse does.
func unquote(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\'`, `'`, "\\`", "`", `\n`, "\n", `\r`, "\r", `\t`, "\t", `\0`, "\x00").Replace(s[1 : len(s)-1])
}
