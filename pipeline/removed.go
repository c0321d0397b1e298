package pipeline

import (
	"bufio"
	"context"
	"fmt"
	"hash/fnv"
	"io"

	"cdds/schemas"
)

// planRemoved adds the parts with the removals of an export that continues another one.
func (e *Exporter) planRemoved(ctx context.Context, x Export, counted int64, plan *schemas.Plan) error {
	if x.Link.Previous == nil {
		return nil
	}
	var part *schemas.PlannedPart
	err := e.source.Removed(ctx, x.query(), schemas.RowKey{}, nil, func(r schemas.Removal) error {
		line, err := schemas.Encode(r)
		if err != nil {
			return err
		}
		size := int64(len(line) + 1)
		if part == nil || part.Bytes+size > x.SplitSize {
			if len(plan.Parts) == schemas.MaxParts {
				return tooManyParts(x, splitAdvice(part.Bytes/part.Rows*counted))
			}
			plan.Parts = append(plan.Parts, schemas.PlannedPart{Part: schemas.Part{Number: len(plan.Parts) + 1, Kind: schemas.KindRemoved, First: r.Key()}})
			part = &plan.Parts[len(plan.Parts)-1]
		}
		part.Rows, part.Bytes, part.Last = part.Rows+1, part.Bytes+size, r.Key()
		part.Versions += hashOf(line)
		plan.Removed++
		return nil
	})
	if err == nil && plan.Removed != counted {
		err = fmt.Errorf("the plan has %s, and counted were %d", schemas.Counted(plan.Removed, "removal"), counted)
	}
	return err
}

// removals writes the lines of a part with removals, and returns the sum of their hashes.
func (e *Exporter) removals(ctx context.Context, x Export, part schemas.Part, to io.Writer) (versions uint64, err error) {
	w := bufio.NewWriter(to)
	err = e.source.Removed(ctx, x.query(), part.First, &part.Last, func(r schemas.Removal) error {
		line, err := schemas.Encode(r)
		if err != nil {
			return err
		}
		versions += hashOf(line)
		_, err = w.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		return versions, err
	}
	return versions, w.Flush()
}

// hashOf is the hash of a line; see schemas.PlannedPart.
func hashOf(line []byte) uint64 {
	h := fnv.New64a()
	h.Write(line)
	return h.Sum64()
}
