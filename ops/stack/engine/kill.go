package engine

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	killEvery = 20 * time.Millisecond  // until the engine has found the query
	killAgain = 500 * time.Millisecond // then, in case it was an earlier one of the session
)

// killer stops running queries from a connection of its own: libchdb's cancel
// waits for the connection's lock, which a running query holds.
//
// A KILL takes a tenth of a second on a machine that is busy with the very
// queries to be killed, so all that are asked for while one runs go into the
// next; one after the other, they fell behind by half a minute.
type killer struct {
	log     *slog.Logger
	running sync.Mutex // held by the round that uses control
	control *conn

	mu   sync.Mutex
	next *killRound // not started, may still be joined
}

type killRound struct {
	marks []string
	found map[string]bool // valid once done is closed
	done  chan struct{}
}

// kill asks the engine to stop the query with the given mark, and reports
// whether there was one.
func (k *killer) kill(mark string) bool {
	k.mu.Lock()
	round, first := k.next, k.next == nil
	if first {
		round = &killRound{found: map[string]bool{}, done: make(chan struct{})}
		k.next = round
	}
	round.marks = append(round.marks, sqlString(mark))
	k.mu.Unlock()
	if first {
		k.run(round)
	}
	<-round.done
	return round.found[mark]
}

func (k *killer) run(round *killRound) {
	defer close(round.done)
	k.running.Lock()
	defer k.running.Unlock()
	k.mu.Lock()
	k.next = nil
	k.mu.Unlock()
	where := " WHERE Settings['log_comment'] IN (" + strings.Join(round.marks, ", ") + ")"
	r, err := k.control.run("SELECT Settings['log_comment'] FROM system.processes"+where, "TabSeparatedRaw")
	if err == nil && len(r.data) > 0 {
		// SYNC would wait for ever on a stream that has failed.
		_, err = k.control.run("KILL QUERY"+where+" ASYNC", "Null")
	}
	if err != nil {
		k.log.Warn("cancelling queries", "error", err)
		return
	}
	for mark := range strings.Lines(string(r.data)) {
		round.found[strings.TrimSpace(mark)] = true
	}
}

func (s *session) kill() bool { return s.e.killer.kill(s.mark) }

// killWhenDone kills the session's query if ctx ends, again and again since the
// query may not have begun, until the returned function is called. That one
// waits: a late KILL must not meet whatever comes after.
func (s *session) killWhenDone(ctx context.Context) (stop func()) {
	finished, killed := make(chan struct{}), make(chan struct{})
	unregister := context.AfterFunc(ctx, func() {
		defer close(killed)
		for {
			pause := killEvery
			if s.kill() {
				pause = killAgain
			}
			select {
			case <-finished:
				return
			case <-time.After(pause):
			}
		}
	})
	return func() {
		if !unregister() {
			close(finished)
			<-killed
		}
	}
}
