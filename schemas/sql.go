package schemas

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

//go:embed sql/*.sql
var ddl embed.FS

// Statement is one step of the ClickHouse schema.
type Statement struct {
	// Name is the file it comes from, such as "0001_interactions".
	Name string
	SQL  string
}

// DDL returns the statements that create the ClickHouse tables, in order. Each is
// safe to repeat and names no database: the connection's is used.
func DDL() []Statement {
	files, err := fs.Glob(ddl, "sql/*.sql")
	if err != nil || len(files) == 0 {
		panic("schemas: the embedded DDL is missing")
	}
	var all []Statement
	for _, file := range files { // Glob sorts by name
		b, err := ddl.ReadFile(file)
		if err != nil {
			panic("schemas: " + err.Error())
		}
		all = append(all, Statement{strings.TrimSuffix(path.Base(file), ".sql"), string(b)})
	}
	return all
}
