package consumers

import (
	"context"

	"cdds/schemas"
)

// Account notes what became of positions that have no row; *warehouse.Warehouse is one.
// Noting it again changes nothing.
type Account interface {
	RecordDeadLetters(ctx context.Context, letters []schemas.DeadLetter) error
	RecordVoids(ctx context.Context, voids []schemas.Void) error
}

// Letters is a DeadLetters and a Voider that keeps the bytes of dead letters in Topic, and
// what became of positions in Account. Bytes come first: what is accounted for is kept.
type Letters struct {
	Topic   DeadLetters
	Account Account
}

// Put is idempotent by position: readers of the topic see a letter again at worst.
func (l Letters) Put(ctx context.Context, letters []schemas.DeadLetter) error {
	if err := l.Topic.Put(ctx, letters); err != nil {
		return err
	}
	return l.Account.RecordDeadLetters(ctx, letters)
}

// Void is idempotent by position.
func (l Letters) Void(ctx context.Context, voids []schemas.Void) error {
	return l.Account.RecordVoids(ctx, voids)
}
