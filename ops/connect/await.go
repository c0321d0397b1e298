package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/minio/minio-go/v7"
	"github.com/twmb/franz-go/pkg/kerr"

	"cdds/pipeline/answer"
)

// Service is one that a process needs before its roles begin.
type Service struct {
	Name string
	At   []string
	// Ask is nil once the service answers. It ends soon after its context does.
	Ask func(context.Context) error
}

// How Await asks: each attempt has a while to be answered, and the pause between two
// grows from the first to the last. A service that stays away is reported again.
const (
	askTimeout    = 5 * time.Second
	firstPause    = 250 * time.Millisecond
	lastPause     = 2 * time.Second
	reportedAgain = time.Minute
)

// Await returns once all services answer. It logs one line for each that does not, with
// the reason, and one when it does. It ends with an error that names what is missing:
// after within, at once when ctx ends, and at once when a service answers that it refuses
// us, which waiting does not mend.
func Await(ctx context.Context, within time.Duration, services []Service, log *slog.Logger) error {
	deadline, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	results := make(chan error, len(services)) // nobody waits for a straggler
	for _, s := range services {
		go func() { results <- s.await(deadline, within, log) }()
	}
	var problems []error
	for range services {
		select {
		case err := <-results:
			if Refuses(err) {
				return err
			}
			problems = append(problems, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(problems...)
}

func (s Service) await(ctx context.Context, within time.Duration, log *slog.Logger) error {
	var reported time.Time
	reason := "no answer"
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		attempt, cancel := context.WithTimeout(ctx, askTimeout)
		err := s.Ask(attempt)
		cancel()
		if err != nil && ctx.Err() == nil { // else it is we who gave up
			reason = brief(err)
		}
		switch {
		case err == nil:
			if !reported.IsZero() {
				log.Info(s.Name + " answers")
			}
			return nil
		case Refuses(err):
			return &refusal{fmt.Sprintf("%s at %s refuses: %s", s.Name, strings.Join(s.At, ","), brief(err)), err}
		case ctx.Err() == nil && time.Since(reported) > reportedAgain:
			log.Warn(fmt.Sprintf("waiting for %s at %s: %s", s.Name, strings.Join(s.At, ","), reason))
			reported = time.Now()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%s at %s was not ready within %s: %s", s.Name, strings.Join(s.At, ","), within, reason)
		}
	}
}

// refusal is the answer of a service that refuses us, in its own words but for what the
// clients put around them.
type refusal struct {
	text string
	err  error
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.err }

// Refuses reports whether err is the answer of a service that will say the same again:
// wrong credentials or rights, a database that does not exist, a certificate that cannot
// be trusted. A service that is down, or not up yet, gives no such answer.
func Refuses(err error) bool {
	var untrusted *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	if m, answered := meaningOf(err); answered {
		return m != answer.Passing && m != answer.Contended
	}
	return errors.As(err, &untrusted) || errors.As(err, &notTLS) || errors.As(err, new(x509.UnknownAuthorityError))
}

// Away reports whether err says that a service is down, or not up yet: the same may
// succeed later.
func Away(err error) bool {
	var op *net.OpError
	var s3 minio.ErrorResponse
	var kafka *kerr.Error
	switch {
	case errors.As(err, &kafka):
		return answer.Kafka(kafka.Code) == answer.Passing
	case errors.As(err, &s3) && s3.StatusCode != 0:
		return s3.StatusCode >= http.StatusInternalServerError
	}
	return errors.As(err, &op) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}

// brief is the innermost reason of an error, in a few words.
func brief(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var exception *clickhouse.Exception
	var s3 minio.ErrorResponse
	var said *answer.Error
	switch {
	case errors.As(err, &exception):
		return exception.Message
	case errors.As(err, &s3) && s3.Message != "":
		return s3.Message
	case errors.As(err, &said):
		return said.Error()
	case errors.As(err, &dns):
		return dns.Error()
	case errors.As(err, &op) && op.Err != nil:
		return strings.TrimPrefix(op.Err.Error(), "connect: ")
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer"
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
