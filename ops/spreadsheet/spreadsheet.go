// Package spreadsheet writes CSV (RFC 4180) that spreadsheets open. Names in it come from
// strangers, so a cell never holds a formula or a control character.
package spreadsheet

import (
	"encoding/csv"
	"io"
	"strings"
	"unicode"
)

// Writer writes rows, each on a line.
type Writer struct{ csv *csv.Writer }

// New returns a Writer to w.
func New(w io.Writer) *Writer { return &Writer{csv.NewWriter(w)} }

// Write writes a row.
func (w *Writer) Write(cells ...string) error {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = inert(cell)
	}
	return w.csv.Write(row)
}

// Flush writes what Write has kept back, and returns the first error of all.
func (w *Writer) Flush() error {
	w.csv.Flush()
	return w.csv.Error()
}

// inert is a cell that no spreadsheet takes for a formula and no terminal for a command.
func inert(cell string) string {
	cell = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, cell)
	if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
