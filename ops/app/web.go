package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"cdds/consumers"
	"cdds/consumers/account"
	"cdds/consumers/recent"
	"cdds/consumers/webhooks"
	"cdds/ops/admin"
	"cdds/ops/api"
	"cdds/ops/auth"
	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/console"
	"cdds/ops/docs/site"
	"cdds/pipeline"
	"cdds/producers"
	"cdds/producers/schedule"
	"cdds/schemas"
)

// web is the console and the HTTP API on one listener.
type web struct {
	app       *App
	url       string
	listener  net.Listener
	handler   http.Handler
	auth      *auth.Service
	directory *auth.Directory
	replica   *consumers.Replica
	requests  *recent.Requests
	observed  *requests
	health    *health
	log       *slog.Logger
}

func buildWeb(a *App) ([]role, error) {
	c := a.Config.Web
	w := &web{app: a, directory: auth.NewDirectory(a.Now), log: a.Logger.With("role", "web")}
	kafka, err := connect.Kafka(a.Config.Kafka, "access", a.Registry)
	if err != nil {
		return nil, err
	}
	w.replica, err = consumers.NewReplica(consumers.ReplicaOptions{Kafka: kafka, Topics: []schemas.Topic{schemas.TopicAccess}, Logger: w.log})
	if err != nil {
		return nil, err
	}
	if err := a.requested(w); err != nil {
		return nil, err
	}
	if w.listener, w.url, err = listen(c, w.log); err != nil {
		return nil, err
	}
	a.onStop("web listener", func() error {
		if err := w.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	key, err := sessionKey(c, w.log)
	if err != nil {
		return nil, err
	}
	proxies, err := c.Proxies()
	if err != nil {
		return nil, err
	}
	w.auth, err = auth.New(auth.Options{
		Directory: w.directory, Sync: w.replica.Sync, Records: producers.NewRecords(a.publisher, w.directory.Versions()), Publisher: a.publisher, Key: key, Secure: c.Secure(),
		Idle: c.SessionIdle, Absolute: c.SessionAbsolute, TrustedProxies: proxies, ProxyHops: c.ProxyHops, OIDC: provider(c, w.url),
		Registerer: a.Registry, Logger: w.log, Now: a.Now,
	})
	if err != nil {
		return nil, err
	}
	w.observed, w.health = newRequests(a.Registry, w.log), a.watchesHealth()
	service, err := a.administration(w)
	if err != nil {
		return nil, err
	}
	w.handler = w.routes(service)
	a.web = w
	seen, _, err := a.presence("web")
	return []role{{"web", w.run, w.replica.Ready}, {"web.requests", w.requests.Run, w.requests.Ready}, {"web.health", w.health.run, func() error { return nil }}, {"web.counts", service.KeepCounting, func() error { return nil }}, seen}, err
}

// requested makes the copy of the latest requests.
func (a *App) requested(w *web) error {
	kafka, err := connect.Kafka(a.Config.Kafka, "requests", a.Registry)
	if err != nil {
		return err
	}
	log, err := consumers.NewReplica(consumers.ReplicaOptions{
		Kafka: kafka, Topics: recent.Topics(), Since: recent.Since(time.Now()), Logger: w.log,
	})
	if err != nil {
		return err
	}
	w.requests, err = recent.New(log, 0)
	return err
}

// administration is what the console and the API stand on.
func (a *App) administration(w *web) (*admin.Service, error) {
	defined, err := a.defined()
	if err != nil {
		return nil, err
	}
	quotas, err := a.quotas()
	if err != nil {
		return nil, err
	}
	inline := a.Config.Export.InlineCertificates
	return admin.New(admin.Options{
		History: a.ledger, Rows: a.warehouse, Requests: w.requests, Objects: a.bucket, Publisher: a.publisher,
		Records: producers.NewRecords(a.publisher, defined.Versions()), Positions: a.offsets,
		Accounts: w.auth, Directory: w.directory, Definitions: defined,
		CheckJob: a.checkJob, Next: schedule.Next,
		Run: func(j schemas.Job) *schemas.ExportRequest {
			return schedule.RunNow(j, schemas.TimeOf(w.now()))
		},
		Lifetime: a.Config.Export.LifetimeOf, Health: w.health.last, Letters: &letters{app: a, one: make(chan struct{}, 1)}, Republications: pipeline.Republications{Store: a.bucket}, ErasureDecisions: pipeline.Erasures{Store: a.bucket},
		Quotas: quotas, TwoPeople: a.Config.Hold.TwoPeople,
		Estimator: admin.Estimator{
			Exporter: pipeline.New(pipeline.Options{Source: a.warehouse, SegmentBytes: int64(a.Config.Export.SegmentSize), HistoryFrom: a.historyFrom, Now: w.now}),
			Rows:     a.warehouse, Positions: a.offsets, History: a.ledger,
		},
		WebhookSecret: func(j schemas.Job) (string, error) {
			return webhooks.Secret([]byte(a.Config.Webhooks.Secret.Reveal()), j.TenantID, j.JobID, j.Webhook.SecretVersion)
		},
		Book:               account.Book{Log: a.offsets, Store: a.warehouse, Decisions: pipeline.WriteOffs{Store: a.bucket}, Publisher: a.publisher},
		InlineCertificates: inline != nil && *inline, Pseudonyms: a.Config.Export.PseudonymSecret != "", Logger: w.log, Now: a.Now,
	}), nil
}

// checkJob judges a job by the code that will request its runs and deliver its webhook.
func (a *App) checkJob(ctx context.Context, j schemas.Job) error {
	if err := schedule.Check(j); err != nil {
		return err
	}
	return webhooks.Check(ctx, j.Webhook, []byte(a.Config.Webhooks.Secret.Reveal()), a.Config.Webhooks.AllowPrivate)
}

func (w *web) now() time.Time {
	if w.app.Now == nil {
		return time.Now()
	}
	return w.app.Now()
}

// routes put everything behind the same checks: where a request comes from, how much
// it brings, and who makes it.
func (w *web) routes(service *admin.Service) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(api.Prefix+"/", routed(api.New(api.Options{
		Admin: service, Auth: w.auth, Links: w.app.Config.Web.Links, Logger: w.log,
	}).Handler()))
	pages := console.New(console.Options{
		Admin: service, Auth: w.auth, URL: w.url, API: api.Prefix, Secure: w.app.Config.Web.Secure(), Logger: w.log, Now: w.app.Now,
	}).Handler()
	for _, at := range []string{console.Prefix + "/", auth.StartPath, auth.CallbackPath} {
		mux.Handle(at, routed(pages))
	}
	mux.Handle("GET "+site.Prefix+"/", site.Handler())
	mux.Handle("GET /{$}", http.RedirectHandler(console.Prefix+"/", http.StatusFound))
	handler := w.observed.observed(w.auth.AddressOf, auth.Protect(w.auth.Middleware(mux)))
	if w.app.Config.Web.Secure() {
		handler = httpsOnly(handler)
	}
	return http.MaxBytesHandler(handler, maxRequestBody)
}

// httpsOnly has browsers come by https for a year, whatever link they follow.
func httpsOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		next.ServeHTTP(w, r)
	})
}

// maxRequestBody bounds every request; operations have smaller bounds of their own.
const maxRequestBody = 4 << 20

// run serves until ctx ends, then lets requests in hand finish for a moment.
func (w *web) run(ctx context.Context) error {
	group, each := errgroup.WithContext(ctx)
	group.Go(func() error {
		return w.replica.Run(each, func(_ schemas.Topic, key, value []byte) {
			if err := w.directory.Read(key, value); err != nil {
				w.log.Warn("an invalid access record was skipped", "error", err)
			}
		})
	})
	group.Go(func() error { return w.firstUser(each) })
	group.Go(func() error { return w.serve(each) })
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil // the end was asked for
}

// firstUser makes the first administrator of a new system.
func (w *web) firstUser(ctx context.Context) error {
	if !w.app.Config.Web.FirstUser {
		return nil
	}
	if !w.caughtUp(ctx) {
		return nil
	}
	password, err := w.auth.Bootstrap(ctx)
	if err != nil {
		// Where ctx has ended, run says nil of it.
		return fmt.Errorf("make the first user: %w", errors.Join(err, ctx.Err()))
	}
	if w.app.Config.Web.OIDC.Issuer == "" && len(w.directory.Users(schemas.AllTenants)) == 0 {
		w.log.Warn("all users were deleted, so nobody can sign in with a password; `cdds user add` makes a user")
	}
	if password != "" && w.app.FirstUser != nil {
		w.app.FirstUser(auth.FirstUser, password)
	}
	return nil
}

// caughtUp waits until the directory knows what the topic said, or is false if ctx
// ends before.
func (w *web) caughtUp(ctx context.Context) bool {
	for w.replica.Sync(ctx) != nil {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// bodyTimeout is how long a request may take to arrive, body included. It does not bound
// the answer.
const bodyTimeout = 10 * time.Second

// drain is how long requests in hand may take once the process is to end.
const drain = 5 * time.Second

func (w *web) serve(ctx context.Context) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler: w.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: bodyTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    slog.NewLogLogger(w.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		// Streams would go on for as long as somebody follows an export.
		defer time.AfterFunc(time.Second, cancel).Stop()
		within, stop := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer stop()
		if server.Shutdown(within) != nil {
			_ = server.Close()
		}
	}()
	if err := server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-ended
	return nil
}

// listen takes the port and returns the URL that reaches it.
func listen(c config.Web, log *slog.Logger) (net.Listener, string, error) {
	l, err := net.Listen("tcp", c.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, "", fmt.Errorf("web.listen: another process has %s; stop that, or set CDDS_WEB_LISTEN to another address, such as 127.0.0.1:8081", c.Listen)
	}
	if err != nil {
		return nil, "", fmt.Errorf("web: %w", err)
	}
	scheme := "http"
	if c.CertFile != "" {
		pair, err := loadKeyPair(c.CertFile, c.KeyFile, log)
		if err != nil {
			return nil, "", errors.Join(fmt.Errorf("web.cert_file: %w", err), l.Close())
		}
		scheme = "https"
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.certificate})
	}
	if c.URL != "" {
		return l, strings.TrimSuffix(c.URL, "/"), nil
	}
	return l, scheme + "://" + l.Addr().String(), nil
}

func sessionKey(c config.Web, log *slog.Logger) ([]byte, error) {
	if c.SessionKeyFile != "" {
		return auth.EnsureKey(c.SessionKeyFile)
	}
	log.Warn("sessions end with this process: web.session_key_file is not set")
	key := make([]byte, auth.KeySize)
	_, _ = rand.Read(key)
	return key, nil
}

func provider(c config.Web, url string) *auth.OIDC {
	if c.OIDC.Issuer == "" {
		return nil
	}
	o := &auth.OIDC{
		Issuer: c.OIDC.Issuer, ClientID: c.OIDC.ClientID, ClientSecret: c.OIDC.ClientSecret.Reveal(),
		RedirectURL: url + auth.CallbackPath, Scopes: c.OIDC.Scopes,
	}
	for _, g := range c.OIDC.Grants {
		o.Grants = append(o.Grants, auth.Grant(g))
	}
	return o
}
