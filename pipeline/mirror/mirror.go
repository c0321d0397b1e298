// Package mirror keeps a receiver's copy of what a job selects. The runs of a job form a
// chain (schemas.Chain); applied in order, each whole and once, they give what one whole
// export would have. Where the copy is, a Destination, stores how far it has come in the
// same transaction as the rows, so that no run is ever applied half or twice.
package mirror

import (
	"context"
	"errors"
	"fmt"

	"cdds/schemas"
)

// Position is how far a copy has come.
type Position struct {
	// TenantID, JobID and Entity say what it is a copy of.
	TenantID string `json:"tenant_id"`
	JobID    string `json:"job_id"`
	Entity   string `json:"entity"`
	// Number is the last run that was applied; 0 before the first one.
	Number int `json:"number"`
	// ExportID and ManifestSHA256 are those of that run: the next one must name them.
	ExportID       string `json:"export_id"`
	ManifestSHA256 string `json:"manifest_sha256"`
	// Rows is how many rows the copy has, by which it is noticed that somebody else
	// changed it.
	Rows int64 `json:"rows"`
	// AppliedAt is when.
	AppliedAt schemas.Time `json:"applied_at"`
	// Format is the version of the copy's tables or files, see Format.
	Format int `json:"format"`
}

// Format is the version of what destinations have: it rises with every column added. A
// destination adds what it lacks, and refuses what a later version wrote.
const Format = 1

// Destination is where a copy is: one for each entity. It is used by one goroutine at a
// time. While a batch is open no other process writes to it.
type Destination interface {
	// Position is zero for a copy that has nothing yet. It is a *ChangedError if the copy
	// does not have the rows it should, and a *FormatError if a later version wrote it.
	Position(ctx context.Context, entity string) (Position, error)
	// Begin begins to apply a run, or is ErrInUse. One batch is open at a time. It tells released of every
	// file that an attachment referred to before, as soon as it may do so no longer.
	Begin(ctx context.Context, entity string, released func(file string) error) (Batch, error)
	// Each gives the rows' JSON Lines in order; body is valid until each returns.
	Each(ctx context.Context, entity string, each func(body []byte) error) error
	// Attachments gives all that is known of attachments, in the order of their rows and
	// then of their ids.
	Attachments(ctx context.Context, entity string, each func(Attachment) error) error
	// Unreferenced returns those of the files that no attachment refers to.
	Unreferenced(ctx context.Context, files []string) ([]string, error)
	// Close undoes a batch that was not committed.
	Close() error
}

// Batch is a run that is being applied. Its methods are called in the order in which they
// stand here, Remove, Put and Attach any number of times. Nothing can be seen before Commit
// and all of it after, whatever ends the process in between.
type Batch interface {
	// Clear removes all rows: the run holds all that is selected.
	Clear(ctx context.Context) error
	// RemoveBefore removes what is kept no longer.
	RemoveBefore(ctx context.Context, t schemas.Time) error
	Remove(ctx context.Context, r schemas.Removal) error
	// Put adds a row, or replaces the one of its key and forgets the attachments of that.
	// Rows come in the order of their times, and those of one time in that of the ids they had before
	// a field policy made them pseudonyms.
	Put(ctx context.Context, row Row) error
	// Attach adds an attachment of a row that was put.
	Attach(ctx context.Context, a Attachment) error
	// Commit makes it so. It fills in how many rows there are.
	Commit(ctx context.Context, p Position) (Position, error)
	// Rollback forgets it; after Commit it does nothing.
	Rollback() error
}

// Attachment is a line of an export's index, with the file its content is in.
type Attachment struct {
	schemas.AttachmentLine
	// Stored is its name in Files; empty if the content was not to be had.
	Stored string
}

// ChangedError says that a copy is not as the last run left it.
type ChangedError struct{ Detail string }

func (e *ChangedError) Error() string { return "the copy was changed by somebody else: " + e.Detail }

// FormatError says that a later version wrote the copy.
type FormatError struct{ Has int }

func (e *FormatError) Error() string {
	return fmt.Sprintf("the copy has format %d, and this version writes up to %d: a later version of cdds wrote it", e.Has, Format)
}

// ErrInUse says that another process is writing to the destination.
var ErrInUse = errors.New("another process is writing to the copy")

// Check compares a stored position with the rows there are.
func Check(p Position, rows int64) error {
	if p.Format > Format {
		return &FormatError{p.Format}
	}
	if rows != p.Rows {
		return &ChangedError{fmt.Sprintf("it has %s where run %d left %d", schemas.Counted(rows, "row"), p.Number, p.Rows)}
	}
	return nil
}
