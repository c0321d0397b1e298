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
			n, err := s.get(t.Context(), "*", 0, count)
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
		if _, err := s.get(t.Context(), "*", 0, fail); !errors.Is(err, down) {
			t.Fatal(err)
		}
		n, err := s.get(t.Context(), "*", 0, func(context.Context) (int, error) { return 7, nil })
		if n != 7 || err != nil {
			t.Errorf("after a failure: %d, %v", n, err)
		}
	})
}

func TestAnOldAnswerServesWhileANewerOneIsNotFoundInAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sparing[string, int]
		asked, takes := 0, time.Second
		look := func() (int, time.Duration) {
			began := time.Now()
			n, err := s.get(t.Context(), "*", time.Hour, func(context.Context) (int, error) {
				asked++
				n := asked
				time.Sleep(takes)
				return n, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return n, time.Since(began)
		}
		look()
		time.Sleep(10 * time.Minute)
		if n, waited := look(); n != 1 || waited != moment {
			t.Errorf("answer %d came after %s", n, waited)
		}
		time.Sleep(time.Second)
		if n, waited := look(); n != 2 || waited != 0 {
			t.Errorf("then answer %d came after %s", n, waited)
		}
		time.Sleep(10 * time.Minute)
		takes = time.Millisecond
		if n, waited := look(); n != 3 || waited != takes {
			t.Errorf("answer %d, which takes a millisecond, came after %s", n, waited)
		}
		takes = time.Second
		time.Sleep(2 * time.Hour)
		if n, waited := look(); n != 4 || waited != takes {
			t.Errorf("after two hours answer %d came after %s", n, waited)
		}
		time.Sleep(2 * time.Hour)
	})
}
