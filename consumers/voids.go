package consumers

import (
	"context"

	"cdds/schemas"
)

// Voider is a DeadLetters that also keeps account of positions without a record for
// readers: marks of transactions, records of aborted ones, what compaction removed. A
// store that must tell those from records it lost is one.
//
// Void has the contract of Put.
type Voider interface {
	Void(ctx context.Context, voids []schemas.Void) error
}
