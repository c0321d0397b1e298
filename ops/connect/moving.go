package connect

import (
	"context"
	"net"
	"time"
)

// movingDialer dials connections that fail once nothing has moved for as long as still:
// a transfer of any size over a slow line is healthy, one that stands is not, and a
// service that is frozen keeps its connections open for ever.
func movingDialer(still time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return moving{conn, still}, nil
	}
}

type moving struct {
	net.Conn
	still time.Duration
}

func (c moving) Read(p []byte) (int, error) {
	if err := c.moves(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c moving) Write(p []byte) (int, error) {
	if err := c.moves(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// moves begins the time anew for both directions: who uploads has a read waiting for
// the answer all the while.
func (c moving) moves() error { return c.SetDeadline(time.Now().Add(c.still)) }
