// Package broker is the Kafka of the embedded stack: franz-go's kfake with a
// data directory, and guards around what it does not do.
//
// kfake is not Apache Kafka: one node, nothing is fsynced (a killed process
// loses nothing, a power cut may), transactions left open by a kill are never
// aborted, so nothing here may use transactions, and it forgets the offsets of
// a partition that retention or DeleteRecords has emptied. Topics therefore
// need retention.ms=-1 with a retention.bytes, which always leaves the newest
// batch; [Run] refuses data to which it has happened.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// MaxMessageBytes is the largest batch the broker takes, as message.max.bytes;
// a topic's max.message.bytes overrides it.
const MaxMessageBytes = 10 << 20

// memoryLimit makes the collector work harder after a start, which reads every
// segment.
const memoryLimit = 512 << 20

// Options of Run.
type Options struct {
	Dir    string // data, created if absent; one process at a time
	Port   int    // on 127.0.0.1
	Logger *slog.Logger
}

// Run serves Kafka until ctx ends, and then returns nil. It refuses to start,
// with an error, if a group has committed an offset past the end of its
// partition. It sets the memory limit of the process, which should be its own.
func Run(ctx context.Context, opts Options) error {
	debug.SetMemoryLimit(memoryLimit)
	// kfake makes what it needs readable by everybody.
	if err := errors.Join(os.MkdirAll(opts.Dir, 0o700), os.Chmod(opts.Dir, 0o700)); err != nil {
		return fmt.Errorf("keep the data directory private: %w", err)
	}
	gate := newGate()
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("cdds-embedded"),
		kfake.Ports(opts.Port),
		kfake.ListenFn(gate.listen),
		kfake.DataDir(opts.Dir),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes":      strconv.Itoa(MaxMessageBytes),
			"log.cleaner.backoff.ms": "60000", // compaction and retention.bytes; the default is an hour
			// KIP-848 groups take two heartbeats to settle after a join.
			"group.consumer.heartbeat.interval.ms": "1000",
		}),
		kfake.WithLogger(logger{opts.Logger}),
	)
	if err != nil {
		return fmt.Errorf("open the broker's data in %s: %w", opts.Dir, err)
	}
	defer cluster.Close()
	if err := checkOffsets(ctx, gate); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("the broker's data in %s: %w", opts.Dir, err)
	}
	gate.open()
	opts.Logger.Info("kafka ready", "addr", cluster.ListenAddrs())
	<-ctx.Done()
	return nil
}

// checkOffsets looks for committed offsets past the end of their partition. A
// consumer with such an offset would skip the new records that get old offsets,
// and a reader that deduplicates by offset would drop them.
func checkOffsets(ctx context.Context, gate *gate) error {
	client, err := kgo.NewClient(kgo.SeedBrokers("inside:9092"), kgo.Dialer(gate.dial))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx)
	if err != nil {
		return fmt.Errorf("list end offsets: %w", err)
	}
	var bad []error
	for group, response := range admin.FetchManyOffsets(ctx, groups.Groups()...) {
		if response.Err != nil {
			return fmt.Errorf("offsets of group %s: %w", group, response.Err)
		}
		response.Fetched.Each(func(o kadm.OffsetResponse) {
			end, ok := ends.Lookup(o.Topic, o.Partition)
			if ok && end.Err == nil && o.At > end.Offset {
				bad = append(bad, fmt.Errorf("group %s has read partition %d of %s up to %d, but the partition ends at %d and would use those offsets again",
					group, o.Partition, o.Topic, o.At, end.Offset))
			}
		})
	}
	if len(bad) > 0 {
		return fmt.Errorf("%w; remove the data of the embedded stack to start anew, or restore it from a copy", errors.Join(bad...))
	}
	return nil
}

// gate is the broker's listener. Until it is opened only dial gets in, so that
// nobody produces to a partition that has not been checked.
type gate struct {
	net.Listener
	inside         chan net.Conn
	opened, closed chan struct{}
	once           sync.Once
}

func newGate() *gate {
	return &gate{inside: make(chan net.Conn), opened: make(chan struct{}), closed: make(chan struct{})}
}

func (g *gate) listen(network, address string) (net.Listener, error) {
	ln, err := net.Listen(network, address)
	g.Listener = ln
	return g, err
}

func (g *gate) open() { close(g.opened) }

func (g *gate) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case g.inside <- theirs:
		return ours, nil
	case <-g.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.inside:
		return c, nil
	case <-g.closed:
		return nil, net.ErrClosed
	case <-g.opened:
		return g.Listener.Accept()
	}
}

// Close implements net.Listener.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// logger hands kfake's warnings to slog; its other messages are per request.
type logger struct{ *slog.Logger }

// Logf implements kfake.Logger.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if level <= kfake.LogLevelWarn {
		l.Warn(fmt.Sprintf(format, args...))
	}
}
