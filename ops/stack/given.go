package stack

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ClickHouseEnv names the environment variable with the URL of a ClickHouse server, such
// as http://user:password@127.0.0.1:8123. Where it is set, the ClickHouse of the embedded
// stack is that server: for tests, each of whose data directories gets a database of its
// own there. A child that forwards connections stands for the server, so that it can be
// stopped and killed as the others can.
const ClickHouseEnv = "CDDS_TEST_CLICKHOUSE"

// given is a ClickHouse server that somebody else runs.
type given struct{ url *url.URL }

// givenTimeout bounds a statement for a test's database.
const givenTimeout = time.Minute

// givenClickHouse returns the server the environment names, or nil.
func givenClickHouse() (*given, error) {
	text := os.Getenv(ClickHouseEnv)
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Port() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s is no URL of a ClickHouse server with its port, like http://user:password@127.0.0.1:8123", ClickHouseEnv)
	}
	return &given{u}, nil
}

// endpoint is the server seen through addr, with the database of the stack on dir: new,
// or that of an earlier stack there.
func (g *given) endpoint(addr, dir string) (ClickHouseEndpoint, error) {
	password, _ := g.url.User.Password()
	e := ClickHouseEndpoint{Addr: addr, Username: g.url.User.Username(), Password: password}
	name := filepath.Join(dir, "clickhouse-database")
	kept, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		kept = []byte(databasesOf(os.Getpid()) + strings.ToLower(rand.Text()[:8]))
		err = os.WriteFile(name, kept, 0o600)
	}
	e.Database = string(kept)
	return e, err
}

// databasesOf is how the names of databases begin that stacks of a process made.
func databasesOf(pid int) string { return fmt.Sprintf("cdds_test_%d_", pid) }

// DropGiven drops the databases that stacks of this process made on the server of
// ClickHouseEnv, if there is one. Call it once they are closed.
func DropGiven(ctx context.Context) error {
	g, err := givenClickHouse()
	if g == nil || err != nil {
		return err
	}
	names, err := g.run(ctx, fmt.Sprintf("SELECT name FROM system.databases WHERE startsWith(name, '%s') FORMAT TSV", databasesOf(os.Getpid())))
	for name := range strings.FieldsSeq(names) {
		_, dropped := g.run(ctx, "DROP DATABASE "+name)
		err = errors.Join(err, dropped)
	}
	return err
}

// run runs a statement on the server.
func (g *given) run(ctx context.Context, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, givenTimeout)
	defer cancel()
	to := url.URL{Scheme: g.url.Scheme, Host: g.url.Host, Path: "/"}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	password, _ := g.url.User.Password()
	r.SetBasicAuth(g.url.User.Username(), password)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", fmt.Errorf("ask the server of %s: %w", ClickHouseEnv, err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the server of %s answers %s: %.300s", ClickHouseEnv, answer.Status, said)
	}
	return string(said), err
}

// serve makes the database and forwards connections to addr until ctx ends.
func (g *given) serve(ctx context.Context, addr, database string) error {
	if _, err := g.run(ctx, "CREATE DATABASE IF NOT EXISTS "+database); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	for {
		from, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // told to stop
		case err != nil:
			return err
		}
		go func() {
			defer from.Close()
			to, err := g.dial(ctx)
			if err != nil {
				return // the client sees its connection closed, as by a server that is down
			}
			defer to.Close()
			var both sync.WaitGroup
			for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
				both.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					// A client waits for no more, a server writes no more: the other way is over too.
					from.Close()
					to.Close()
				})
			}
			both.Wait()
		}()
	}
}

func (g *given) dial(ctx context.Context) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if g.url.Scheme == "https" {
		return (&tls.Dialer{NetDialer: dialer}).DialContext(ctx, "tcp", g.url.Host)
	}
	return dialer.DialContext(ctx, "tcp", g.url.Host)
}
