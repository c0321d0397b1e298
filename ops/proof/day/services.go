package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"cdds/ops/stack"
)

// door is a listener that can be shut: connections end, and others are not let in.
type door struct {
	net.Listener
	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
}

func newDoor(address string) (*door, error) {
	l, err := net.Listen("tcp", address)
	return &door{Listener: l, conns: map[net.Conn]bool{}}, err
}

// Accept lets the next one in.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		shut := d.shut
		if !shut {
			d.conns[c] = true
		}
		d.mu.Unlock()
		if !shut {
			return &visitor{c, d}, nil
		}
		_ = c.Close()
	}
}

// visitor is a connection that leaves when it is closed.
type visitor struct {
	net.Conn
	through *door
}

func (v *visitor) Close() error {
	v.through.mu.Lock()
	delete(v.through.conns, v.Conn)
	v.through.mu.Unlock()
	return v.Conn.Close()
}

func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
	for c := range d.conns {
		_ = c.Close()
	}
	clear(d.conns)
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = false
}

// services are Kafka, ClickHouse and S3 as a site has them: with TLS and passwords.
type services struct {
	dir   string
	doors map[string]*door
	certs *authority
	stack *stack.Stack // ClickHouse and S3, whose keys change when it starts anew
	ports [2]int
	kafka *kfake.Cluster
	// user and password are those of CDDS at Kafka.
	user, password string
}

const kafkaUser, mechanism = "cdds", "SCRAM-SHA-512"

func startServices(ctx context.Context, dir string, certs *authority) (s *services, err error) {
	s = &services{dir: dir, certs: certs, doors: map[string]*door{}, user: kafkaUser, password: secret()}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	serving := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certs.serve}
	if err := s.startStack(ctx); err != nil {
		return s, err
	}
	for n, name := range []string{stack.ClickHouse, stack.S3} {
		if s.doors[name], err = newDoor("127.0.0.1:0"); err != nil {
			return s, err
		}
		go forward(tls.NewListener(s.doors[name], serving), s.ports[n])
	}
	s.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, s.user, s.password), kfake.TLS(serving),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "10485760"}),
		kfake.ListenFn(func(_, address string) (net.Listener, error) {
			d, err := newDoor(address)
			s.doors[stack.Kafka] = d
			return d, err
		}))
	return s, err
}

// startStack starts ClickHouse and S3, at the ports of before, with keys of their own.
func (s *services) startStack(ctx context.Context) (err error) {
	log, err := os.OpenFile(filepath.Join(s.dir, "stack.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	s.stack, err = stack.Start(ctx, stack.Options{
		Dir: filepath.Join(s.dir, "data"), ClickHousePort: s.ports[0], S3Port: s.ports[1], EngineMemory: 2 << 30, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		return err
	}
	e := s.stack.Endpoints()
	for n, addr := range []string{e.ClickHouse.Addr, e.S3.Endpoint} {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(port, &s.ports[n]); err != nil {
			return err
		}
	}
	return nil
}

// rekey has ClickHouse and S3 take new passwords and keys, and no others.
func (s *services) rekey(ctx context.Context) error {
	before := s.stack.Endpoints()
	err := errors.Join(s.stack.Close(), os.Remove(filepath.Join(s.dir, "data", "s3-keys.json")))
	if err == nil {
		err = s.startStack(ctx)
	}
	if err != nil {
		return err
	}
	if after := s.stack.Endpoints(); after.ClickHouse.Password == before.ClickHouse.Password || after.S3.SecretKey == before.S3.SecretKey {
		return errors.New("ClickHouse and S3 have the same keys as before")
	}
	return nil
}

// newPassword has Kafka take another password of CDDS. Connections of before stay.
func (s *services) newPassword(ctx context.Context) error {
	client, err := kgo.NewClient(s.clientOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	password := secret()
	answer, err := kadm.NewClient(client).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: s.user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password}})
	if err == nil {
		err = answer.Error()
	}
	if err == nil {
		s.password = password
	}
	return err
}

// clientOptions are those of a client outside CDDS.
func (s *services) clientOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(s.kafka.ListenAddrs()...), kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.certs.trusted()}),
		kgo.SASL(scram.Auth{User: s.user, Pass: s.password}.AsSha512Mechanism()),
	}
}

// stop ends what runs.
func (s *services) stop() {
	for _, d := range s.doors {
		d.close()
		_ = d.Listener.Close()
	}
	if s.kafka != nil {
		s.kafka.Close()
	}
	if s.stack != nil {
		_ = s.stack.Close()
	}
}

// forward passes on what a listener accepts to a port of this machine.
func forward(from net.Listener, port int) {
	for {
		c, err := from.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			to, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return
			}
			defer to.Close()
			go func() {
				_, _ = io.Copy(to, c)
				_ = to.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(c, to)
		}()
	}
}
