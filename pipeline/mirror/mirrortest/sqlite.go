package mirrortest

import (
	"database/sql"
	"testing"

	_ "modernc.org/sqlite" // the driver
)

// SQLite changes a database behind the back of whoever keeps it.
func SQLite(t testing.TB, file, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	check(t, err)
	_, err = db.ExecContext(t.Context(), statement)
	check(t, err)
	check(t, db.Close())
}
