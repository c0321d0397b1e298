package warehouse_test

import (
	"fmt"
	"testing"

	"cdds/ops/stack/stacktest"
	"cdds/schemas"
)

// BenchmarkMissing accounts for partitions of up to 10^8 positions, in bitmaps as parts of
// a table have them: each block in twenty pieces, and in one of a hundred blocks a gap.
func BenchmarkMissing(b *testing.B) {
	w := open(b)
	conn := stacktest.ClickHouse(b)
	for _, positions := range []int64{1e6, 1e7, 1e8} {
		topic := schemas.Topic(fmt.Sprint("bench-", positions))
		if err := conn.Exec(b.Context(), "SYSTEM STOP MERGES accounted"); err != nil {
			b.Fatal(err)
		}
		for piece := range 20 {
			err := conn.Exec(b.Context(), fmt.Sprintf(`
INSERT INTO accounted SELECT '%s', 0, 'void', bitShiftRight(number, 20) AS b, 0, groupBitmapState(toUInt32(bitAnd(number, 1048575)))
FROM numbers(%d) WHERE intDiv(number, 1000) %% 20 = %d AND number != 70 GROUP BY b`, topic, positions, piece))
			if err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprint("positions=", positions), func(b *testing.B) {
			used := []schemas.Run{{Partition: 0, First: 0, Next: positions}}
			for b.Loop() {
				if n, err := w.Missing(b.Context(), topic, used); err != nil || n != 1 {
					b.Fatalf("%d are missing, %v", n, err)
				}
			}
		})
		if err := conn.Exec(b.Context(), "SYSTEM START MERGES accounted"); err != nil {
			b.Fatal(err)
		}
	}
}
