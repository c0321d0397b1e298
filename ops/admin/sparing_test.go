package admin

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnExpensiveQuestionIsAskedASmallPartOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sparing[string, int]
		asked := 0
		count := func(context.Context) (int, error) {
			asked++
			time.Sleep(400 * time.Millisecond)
			return asked, nil
		}
		look := func() int {
			n, err := s.get(t.Context(), "*", count)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		var together sync.WaitGroup
		for range 100 {
			together.Go(func() { look() })
		}
		together.Wait()
		if asked != 1 {
			t.Errorf("for 100 who ask together the question is asked %d times", asked)
		}
		for range 60 { // a page that renews itself for 5 minutes
			began := time.Now()
			look()
			if time.Since(began) > 0 {
				t.Errorf("who looks again waits %s", time.Since(began))
			}
			time.Sleep(5 * time.Second)
		}
		if busy := time.Duration(asked) * 400 * time.Millisecond; busy > 15*time.Second {
			t.Errorf("in 5 minutes the question took %s", busy)
		}
		before := asked
		time.Sleep(time.Minute)
		if n := look(); n != before+1 {
			t.Errorf("after a minute the answer is that of question %d of %d", n, asked)
		}
		synctest.Wait()
		if time.Sleep(time.Minute); len(s.last) != 0 {
			t.Errorf("%d answers are kept that nobody asks for", len(s.last))
		}
	})
}

func TestAnExpensiveQuestionThatFailedIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sparing[string, int]
		down := errors.New("down")
		fail := func(context.Context) (int, error) { return 0, down }
		if _, err := s.get(t.Context(), "*", fail); !errors.Is(err, down) {
			t.Fatal(err)
		}
		n, err := s.get(t.Context(), "*", func(context.Context) (int, error) { return 7, nil })
		if n != 7 || err != nil {
			t.Errorf("after a failure: %d, %v", n, err)
		}
	})
}
