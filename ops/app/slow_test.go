package app_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A client that announces a body and does not send it must not keep a connection for ever.
func TestABodyThatDoesNotComeEndsTheConnection(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"web"})
	var all sync.WaitGroup
	for _, c := range []struct{ base, path string }{
		{s.url, "/console/sign-in"},
		{s.url, "/api/v1/session"},
		{s.url, "/api/v1/jobs/nightly/suspend"},
		{s.url, "/nowhere"},
		{s.metrics, "/metrics"},
		{s.metrics, "/readyz"},
		{s.metrics, "/debug/pprof/symbol"},
	} {
		for range 20 {
			all.Go(func() {
				conn, err := net.Dial("tcp", strings.TrimPrefix(c.base, "http://"))
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nname=", c.path, conn.RemoteAddr())
				if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("POST %s whose body does not come stays open", c.path)
				}
			})
		}
	}
	all.Wait()
	s.root.must(200, "GET", "/session", nil)
}
