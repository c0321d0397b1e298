package pipeline

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func content(n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(b)
	return b
}

func TestASpoolReadsBackWhatWasWritten(t *testing.T) {
	spools := NewSpools(4 << 20)
	for _, n := range []int{0, 1, spoolChunk - 1, spoolChunk, spoolChunk + 1, 3*spoolChunk + 17} {
		want := content(n)
		s := spools.spool()
		for at := 0; at < n; at += 70_000 {
			_, _ = s.Write(want[at:min(at+70_000, n)])
		}
		if err := iotest.TestReader(s.reader(), want); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		var out bytes.Buffer
		if _, err := io.Copy(&out, s.reader()); err != nil || !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%d bytes: WriteTo gives %d bytes, %v", n, out.Len(), err)
		}
		out.Reset()
		if err := s.drain(&out); err != nil || !bytes.Equal(out.Bytes(), want) || s.size != 0 {
			t.Errorf("%d bytes: drain gives %d bytes, %v", n, out.Len(), err)
		}
	}
}

func TestASpoolsMemoryIsUsedAgain(t *testing.T) {
	spools := NewSpools(4 << 20)
	s := spools.spool()
	_, _ = s.Write(content(3 * spoolChunk))
	s.free()
	if len(spools.idle) != 3 {
		t.Fatalf("%d chunks are idle", len(spools.idle))
	}
	s = spools.spool()
	_, _ = s.Write(content(2 * spoolChunk))
	if len(spools.idle) != 1 {
		t.Errorf("%d chunks are idle", len(spools.idle))
	}
}

// reserveNow reserves and gives back, and does not wait.
func reserveNow(s *Spools, size int64) (bool, error) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	release, err := s.Reserve(ended, size)
	if err == nil {
		release()
	}
	return err == nil, err
}

func TestReservationsNeverExceedTheBoundAndNeverBlockForEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 100).Draw(t, "limit")
		spools := NewSpools(limit)
		held := int64(0)
		type reservation struct {
			size    int64
			release func()
		}
		var all []reservation
		for range 30 {
			size := rapid.Int64Range(0, 300).Draw(t, "size")
			var tooLarge *TooLargeError
			switch _, err := reserveNow(spools, size); {
			case errors.As(err, &tooLarge) != (size > limit):
				t.Fatalf("%d of %d: %v", size, limit, err)
			case size > limit:
				continue
			}
			if held+size <= limit {
				release, err := spools.Reserve(context.Background(), size)
				if err != nil {
					t.Fatal(err)
				}
				held += size
				all = append(all, reservation{size, release})
				continue
			}
			if _, err := reserveNow(spools, limit+1-held); held > 0 && !errors.Is(err, context.Canceled) {
				t.Fatalf("with %d of %d held there was room for more: %v", held, limit, err)
			}
			last := all[len(all)-1]
			all = all[:len(all)-1]
			last.release()
			held -= last.size
		}
	})
}

func TestWhoOnlyEstimatesHasNoSpoolsAndNothingIsTooLarge(t *testing.T) {
	var none *Spools
	if err := none.Fits(1 << 40); err != nil {
		t.Errorf("without spools a size is refused: %v", err)
	}
}
