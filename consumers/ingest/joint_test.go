package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cdds/consumers/ingest"
	"cdds/schemas"
)

// inserts keeps what each insert was of, by partition, and blocks those of which hold.
type inserts struct {
	mu     sync.Mutex
	of     [][]int32
	refuse int32 // every insert with this partition fails
	hold   func(ctx context.Context, partitions []int32) error
}

func (s *inserts) InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error {
	var partitions []int32
	for _, b := range batches {
		partitions = append(partitions, b.Partition)
	}
	slices.Sort(partitions)
	s.mu.Lock()
	s.of = append(s.of, partitions)
	s.mu.Unlock()
	if s.refuse >= 0 && slices.Contains(partitions, s.refuse) {
		return errDown
	}
	if s.hold != nil {
		return s.hold(ctx, partitions)
	}
	return nil
}

func (s *inserts) made() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.of)
}

func handler(t *testing.T, s *inserts) *ingest.Handler[*schemas.Interaction] {
	t.Helper()
	h, err := ingest.NewInteractions(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// of is a batch of one event with a body of some bytes.
func of(partition int32, bytes int) schemas.Batch[*schemas.Interaction] {
	b := batch(schemas.TopicInteractions, &schemas.Interaction{InteractionID: "i", Body: make([]byte, bytes)})
	b.Partition = partition
	return b
}

func TestBatchesOfSeveralPartitionsThatComeTogetherAreOneInsert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &inserts{refuse: -1, hold: func(context.Context, []int32) error { time.Sleep(time.Second); return nil }}
		h := handler(t, s)
		var all sync.WaitGroup
		for p := range int32(4) {
			all.Go(func() { check(t, h.Handle(t.Context(), of(p, 100))) })
		}
		synctest.Wait()
		time.Sleep(100 * time.Millisecond) // while they are inserted, these come
		for p := range int32(3) {
			all.Go(func() { check(t, h.Handle(t.Context(), of(p, 100))) })
		}
		all.Wait()
		if got := s.made(); got != "[[0 1 2 3] [0 1 2]]" {
			t.Errorf("the inserts were of the partitions %s", got)
		}
	})
}

func TestLargeBatchesAreInsertedSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := make(chan struct{}, 2)
		s := &inserts{refuse: -1, hold: func(context.Context, []int32) error {
			both <- struct{}{}
			for len(both) < 2 {
				time.Sleep(time.Millisecond)
			}
			return nil
		}}
		h := handler(t, s)
		var all sync.WaitGroup
		for p := range int32(2) {
			all.Go(func() { check(t, h.Handle(t.Context(), of(p, 10<<20))) })
		}
		all.Wait()
		if got := s.made(); got != "[[0] [1]]" && got != "[[1] [0]]" {
			t.Errorf("the inserts were of the partitions %s", got)
		}
	})
}

func TestWhatIsRefusedOfOnePartitionHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &inserts{refuse: 2}
		h := handler(t, s)
		for attempt := range 3 {
			var all sync.WaitGroup
			for p := range int32(4) {
				all.Go(func() {
					err := h.Handle(t.Context(), of(p, 100))
					if wrong := attempt == 0 || p == 2; errors.Is(err, errDown) != wrong {
						t.Errorf("attempt %d, partition %d: %v", attempt+1, p, err)
					}
				})
			}
			all.Wait()
		}
	})
}

func TestWhoLeavesEndsNoInsertThatOthersWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		s := &inserts{refuse: -1, hold: func(ctx context.Context, _ []int32) error {
			select {
			case <-ctx.Done():
				ended = true
				return ctx.Err()
			case <-time.After(time.Second):
				return nil
			}
		}}
		h := handler(t, s)
		leaving, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if err := h.Handle(leaving, of(0, 100)); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that left got %v", err)
			}
		})
		synctest.Wait()
		all.Go(func() { check(t, h.Handle(t.Context(), of(1, 100))) })
		time.Sleep(100 * time.Millisecond)
		leave()
		all.Wait()
		if ended {
			t.Error("the insert ended although partition 1 waited for it")
		}
		leaving, leave = context.WithCancel(t.Context())
		all.Go(func() { _ = h.Handle(leaving, of(0, 100)) })
		time.Sleep(100 * time.Millisecond)
		leave()
		all.Wait()
		if !ended {
			t.Error("nobody waited for the insert, and it went on")
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
