package connect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/minio/minio-go/v7"
	"github.com/twmb/franz-go/pkg/kerr"

	"cdds/ops/connect"
)

var refused = &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connect: %w", syscall.ECONNREFUSED)}

// late answers from its nth question on.
func late(name string, n int) connect.Service {
	asked := 0
	return connect.Service{Name: name, At: []string{"host:1", "host:2"}, Ask: func(context.Context) error {
		if asked++; asked < n {
			return fmt.Errorf("ping: %w", refused)
		}
		return nil
	}}
}

func logTo(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestAServiceThatComesLateIsAwaitedWithOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		begun := time.Now()
		if err := connect.Await(t.Context(), time.Minute, []connect.Service{late("Kafka", 1), late("S3", 6)}, logTo(&log)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("it took %s to see what was there within seconds", took)
		}
		want := "level=WARN msg=\"waiting for S3 at host:1,host:2: connection refused\"\nlevel=INFO msg=\"S3 answers\"\n"
		if log.String() != want {
			t.Errorf("the log is\n%s", log.String())
		}
	})
}

func TestWaitingEndsAtItsBoundAndNamesEveryServiceThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		begun := time.Now()
		err := connect.Await(t.Context(), 5*time.Minute, []connect.Service{late("Kafka", 1e6), late("ClickHouse", 1), late("S3", 1e6)}, logTo(&log))
		if took := time.Since(begun); took < 5*time.Minute || took > 5*time.Minute+10*time.Second {
			t.Errorf("it waited %s", took)
		}
		for _, want := range []string{"Kafka at host:1,host:2 was not ready within 5m0s: connection refused", "S3 at host:1,host:2 was not ready"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %v", want, err)
			}
		}
		if lines := strings.Count(log.String(), "waiting for Kafka"); strings.Contains(err.Error(), "ClickHouse") || lines < 4 || lines > 6 {
			t.Errorf("%v; Kafka was reported %d times in five minutes", err, lines)
		}
	})
}

func TestWaitingEndsAtOnceWhenItIsInterruptedAndWhenAServiceRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		defer close(hangs)
		deaf := connect.Service{Name: "ClickHouse", Ask: func(context.Context) error { <-hangs; return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		begun := time.Now()
		if err := connect.Await(ctx, time.Hour, []connect.Service{deaf, late("Kafka", 1e6)}, slog.New(slog.DiscardHandler)); !errors.Is(err, context.Canceled) || time.Since(begun) != time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		wrong := connect.Service{Name: "Kafka", At: []string{"k:1"}, Ask: func(context.Context) error { return fmt.Errorf("ping: %w", kerr.SaslAuthenticationFailed) }}
		begun = time.Now()
		err := connect.Await(t.Context(), time.Hour, []connect.Service{deaf, wrong}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "Kafka at k:1 refuses") || time.Since(begun) > time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

func TestAServiceThatIsNotThereIsToldFromOneThatRefuses(t *testing.T) {
	for _, c := range []struct {
		err           error
		away, refuses bool
	}{
		{refused, true, false},
		{&net.DNSError{Err: "no such host", Name: "kafka", IsNotFound: true}, false, false},
		{context.DeadlineExceeded, true, false},
		{kerr.NotController, true, false},
		{kerr.InvalidReplicationFactor, true, false},
		{kerr.SaslAuthenticationFailed, false, true},
		{kerr.ClusterAuthorizationFailed, false, true},
		{&clickhouse.Exception{Code: 516}, false, true},
		{&clickhouse.Exception{Code: 81}, false, true},
		{&clickhouse.Exception{Code: 202}, false, false},
		{minio.ErrorResponse{StatusCode: 403, Code: "SignatureDoesNotMatch"}, false, true},
		{minio.ErrorResponse{StatusCode: 503, Code: "SlowDown"}, true, false},
		{errors.New("anything else"), false, false},
	} {
		err := fmt.Errorf("ask: %w", c.err)
		if connect.Away(err) != c.away || connect.Refuses(err) != c.refuses {
			t.Errorf("%v: away %t, refuses %t", c.err, connect.Away(err), connect.Refuses(err))
		}
	}
}
