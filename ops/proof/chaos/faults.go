package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"cdds/ops/stack"
)

// fault is something that happens to a role or a service.
type fault struct {
	kind   string
	target string
	// after is the pause since the fault before; hold how long it lasts.
	after, hold time.Duration
}

// Kinds of faults, by how often they are chosen.
var kinds = []struct {
	name    string
	weight  int
	service bool
	// shortest and longest bound how long it lasts.
	shortest, longest time.Duration
}{
	{"kill role", 28, false, 0, 0},
	{"restart role", 14, false, 0, 0},
	{"pause role", 14, false, 200 * time.Millisecond, 3 * time.Second},
	// Past the session's timeout: the role is believed dead and comes back.
	{"pause role until it is replaced", 10, false, 7 * time.Second, 12 * time.Second},
	{"kill service", 18, true, 0, 0},
	{"pause service", 16, true, 300 * time.Millisecond, 6 * time.Second},
}

// faults yields an endless series of faults that depends on the seed alone.
func faults(seed uint64, gap time.Duration, roles, services []string) func() fault {
	rnd := rand.New(rand.NewPCG(seed, 1))
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	return func() fault {
		// Every draw is made whatever the kind, so that the series does not shift.
		n, at := rnd.IntN(total), rnd.IntN(1<<20)
		after := time.Duration(rnd.Float64() * 2 * float64(gap))
		part := rnd.Float64()
		for _, k := range kinds {
			if n -= k.weight; n >= 0 {
				continue
			}
			targets := roles
			if k.service {
				targets = services
			}
			return fault{k.name, targets[at%len(targets)], after, k.shortest + time.Duration(part*float64(k.longest-k.shortest))}
		}
		panic("the weights do not add up")
	}
}

// inject strikes until ctx ends, then undoes what is still held.
func inject(ctx context.Context, s *system, o options, r *report) {
	services := []string{stack.Kafka, stack.ClickHouse, stack.S3}
	byName := map[string]*process{}
	var roles []string
	for _, p := range s.processes {
		byName[p.name] = p
		roles = append(roles, p.name)
	}
	busy := map[string]*sync.Mutex{} // one fault at a time for each target
	for _, name := range append(services, roles...) {
		busy[name] = new(sync.Mutex)
	}
	var striking sync.WaitGroup
	defer striking.Wait()
	for next := faults(o.seed, o.gap, roles, services); ; {
		f := next()
		select {
		case <-time.After(f.after):
		case <-ctx.Done():
			return
		}
		striking.Go(func() {
			busy[f.target].Lock()
			defer busy[f.target].Unlock()
			if ctx.Err() != nil {
				return
			}
			struck := false
			if p := byName[f.target]; p != nil {
				struck = strikeRole(ctx, p, f)
			} else {
				struck = strikeService(ctx, s.local.Stack, f)
			}
			if struck { // else there was nothing to strike: it was just starting
				r.fault(f.kind)
			}
		})
	}
}

func strikeRole(ctx context.Context, p *process, f fault) bool {
	switch f.kind {
	case "kill role":
		return p.end(syscall.SIGKILL) == nil
	case "restart role":
		return p.end(syscall.SIGTERM) == nil
	}
	if _, ok := p.signal(syscall.SIGSTOP, false); !ok {
		return false
	}
	hold(ctx, f.hold)
	_, _ = p.signal(syscall.SIGCONT, false)
	return true
}

func strikeService(ctx context.Context, s *stack.Stack, f fault) bool {
	if f.kind == "kill service" {
		return s.Kill(f.target) == nil
	}
	pid := s.Pids()[f.target]
	if pid == 0 || syscall.Kill(pid, syscall.SIGSTOP) != nil {
		return false
	}
	hold(ctx, f.hold)
	_ = syscall.Kill(pid, syscall.SIGCONT) // a stopped process does not end, so it is still this one
	return true
}

func hold(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
