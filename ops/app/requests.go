package app

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/auth"
)

// requests measures and logs what the web role is asked.
type requests struct {
	log      *slog.Logger
	duration *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	inFlight prometheus.Gauge
}

// noRoute is the route of requests that no page and no operation answers.
const noRoute = "none"

func newRequests(reg prometheus.Registerer, log *slog.Logger) *requests {
	r := &requests{
		log: log,
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cdds_http_request_duration_seconds", Help: "Time to answer a request of the web role, by route and status.",
			Buckets: []float64{0.005, 0.025, 0.1, 0.5, 2.5, 10, 60}, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		}, []string{"route", "code"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_http_response_bytes_total", Help: "Bytes of answers of the web role, without headers, by route.",
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cdds_http_requests_in_flight", Help: "Requests that the web role is answering.",
		}),
	}
	reg.MustRegister(r.duration, r.bytes, r.inFlight)
	// From the start, so that the first errors are an increase.
	r.duration.WithLabelValues(noRoute, "404")
	r.bytes.WithLabelValues(noRoute)
	return r
}

// request is what is known of a request once it is answered.
type request struct {
	route   string
	subject string
}

type requestKey struct{}

// routed learns the route of a request and who makes it. It stands directly around what
// has a ServeMux of its own.
func routed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known, ok := r.Context().Value(requestKey{}).(*request)
		if ok {
			if p, signedIn := auth.From(r.Context()); signedIn {
				known.subject = p.Subject
			}
			defer func() { known.route = r.Pattern }()
		}
		next.ServeHTTP(w, r)
	})
}

// requestID is the header that names a request in the answer and in the log.
const requestID = "X-Request-Id"

// validID is what is taken over from a client or a proxy.
var validID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// observed gives each request an id, measures it and logs it once it is answered: never
// its query, which may hold what somebody searched for.
func (o *requests) observed(addressOf func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestID)
		if !validID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set(requestID, id)
		known := &request{}
		answered := &answered{ResponseWriter: w}
		began := time.Now()
		o.inFlight.Inc()
		defer func() {
			o.inFlight.Dec()
			took := time.Since(began)
			if known.route == "" {
				known.route = noRoute
			}
			code := strconv.Itoa(answered.code())
			o.duration.WithLabelValues(known.route, code).Observe(took.Seconds())
			o.bytes.WithLabelValues(known.route).Add(float64(answered.bytes))
			o.log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("request_id", id),
				slog.String("method", r.Method), slog.String("path", r.URL.EscapedPath()), slog.String("route", known.route),
				slog.String("status", code), slog.Int64("bytes", answered.bytes), slog.Float64("seconds", took.Seconds()),
				slog.String("subject", known.subject), slog.String("from", addressOf(r)))
		}()
		next.ServeHTTP(answered, r.WithContext(context.WithValue(r.Context(), requestKey{}, known)))
	})
}

// answered remembers the status and the size of an answer.
type answered struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answered) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK { // else it is one of several informational ones
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(b []byte) (int, error) {
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

func (a *answered) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
