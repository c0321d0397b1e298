package engine

import (
	"net"
	"net/http"
	"sync"
)

// unused are the connections that have not carried a request yet. HTTP clients keep such
// connections: they dial one more while another becomes free. A server waits 5 seconds for
// each when it shuts down.
type unused struct {
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	stopped bool
}

// closeUnused has the server close its unused connections as soon as it shuts down.
func closeUnused(srv *http.Server) {
	u := &unused{conns: map[net.Conn]struct{}{}}
	srv.ConnState = u.note
	srv.RegisterOnShutdown(u.stop)
}

func (u *unused) note(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state != http.StateNew {
		delete(u.conns, c)
		return
	}
	if u.stopped {
		c.Close()
		return
	}
	u.conns[c] = struct{}{}
}

func (u *unused) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	for c := range u.conns {
		c.Close()
	}
}
