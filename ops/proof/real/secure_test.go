package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/provision"
	"cdds/ops/stack/stacktest"
	"cdds/pipeline/bucket"
	"cdds/pipeline/ledger"
	"cdds/pipeline/smime"
	"cdds/pipeline/tables"
	"cdds/producers"
	"cdds/schemas"
)

// secured are services that want TLS and passwords: three brokers of Apache Kafka with
// an authorizer, MinIO, and ClickHouse behind a front.
type secured struct {
	t         *testing.T
	config    config.Config // of root
	passwords map[string]string
	nodes     []*process
	ledger    *ledger.Ledger
	bucket    *bucket.Bucket
	admin     *kadm.Client
	logs      safeBuffer
	apps      []*app.App // that run
	recipient string     // PEM
}

// canary is in every secret: no log may hold it.
const canary = "canary7f3a"

func TestServicesThatWantTLSAndPasswords(t *testing.T) {
	s := newSecured(t)
	t.Run("RolesNeedNoMoreThanTheirAccessLists", s.rolesNeedNoMore)
	t.Run("KcatProducesWhatIsExported", s.kcatProduces)
	t.Run("RolesMayDoNoMoreThanTheirAccessLists", s.rolesMayDoNoMore)
	t.Run("WrongCredentialsAreNamed", s.wrongCredentialsAreNamed)
	t.Run("AnExportGoesOnWithoutABroker", s.exportGoesOnWithoutABroker)
	if strings.Contains(s.logs.String(), canary) {
		t.Error("a log holds a secret:\n" + s.logs.String())
	}
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	s := &secured{t: t, config: config.Default(), passwords: map[string]string{"root": canary + "-root"}}
	for _, role := range append(app.Roles(), "producer", "requester") {
		s.passwords[role] = canary + "-" + role
	}
	ca := newAuthority(t)
	trust := config.TLS{Enabled: true, CAFile: ca.file}
	c := &s.config
	c.S3.AccessKey, c.S3.SecretKey, c.S3.TLS = "cdds-test", canary+"-s3-secret", trust
	c.Kafka.Brokers, s.nodes = startKafka(t, ca, s.passwords)
	c.S3.Endpoint = startMinIO(t, ca, c.S3.AccessKey, c.S3.SecretKey.Reveal())
	engine := stacktest.Shared(t).Endpoints().ClickHouse
	c.ClickHouse.Addr, c.ClickHouse.TLS = []string{fronted(t, ca, engine.Addr)}, trust
	c.ClickHouse.Username, c.ClickHouse.Password, c.ClickHouse.Database = engine.Username, config.Secret(engine.Password), engine.Database
	c.Kafka.TLS, c.Kafka.Replication, c.Kafka.SessionTimeout = trust, 3, 6*time.Second
	c.Kafka.SASL = config.SASL{Mechanism: "SCRAM-SHA-512", Username: "root", Password: config.Secret(s.passwords["root"])}
	allowed := true
	c.Export.InlineCertificates, c.Export.Slots = &allowed, 1

	cert, key, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "signer", Purpose: smime.Signer})
	check(t, err)
	c.Service = config.Service{CertFile: t.TempDir() + "/cert.pem", KeyFile: t.TempDir() + "/key.pem"}
	check(t, errors.Join(os.WriteFile(c.Service.CertFile, cert, 0o600), os.WriteFile(c.Service.KeyFile, key, 0o600)))
	recipient, _, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "receiver"})
	check(t, err)
	s.recipient = string(recipient)

	opts, err := connect.Kafka(c.Kafka, "test", nil)
	check(t, err)
	client, err := kgo.NewClient(opts...)
	check(t, err)
	t.Cleanup(client.Close)
	s.admin = kadm.NewClient(client)
	conn, err := connect.ClickHouse(c.ClickHouse)
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	db := tables.New(conn)
	s.ledger = ledger.New(db)
	s.bucket, err = connect.Bucket(c.S3)
	check(t, err)
	// The brokers need half a minute on a busy machine.
	s.eventually("the services answer", 3*time.Minute, func() error {
		// The client would answer metadata from memory.
		cluster, err := kmsg.NewPtrDescribeClusterRequest().RequestWith(t.Context(), client)
		if err == nil && len(cluster.Brokers) < 3 {
			err = fmt.Errorf("%d brokers of 3", len(cluster.Brokers))
		}
		if err != nil {
			return err
		}
		_, err = s.bucket.Exists(t.Context())
		return err
	})
	check(t, provision.All(t.Context(), s.admin, db, s.bucket, *c, func(string) {}))
	for name := range s.passwords {
		if access, ok := provision.AccessOf(name); ok {
			check(t, access.Grant(t.Context(), s.admin, "User:"+name))
		} else if name != "root" {
			t.Errorf("role %s has no access list in ops/provision", name)
		}
	}
	return s
}

// as is the configuration of somebody else on the same Kafka.
func (s *secured) as(user string) config.Config {
	c := s.config
	c.Kafka.SASL.Username, c.Kafka.SASL.Password = user, config.Secret(s.passwords[user])
	return c
}

// run runs each role in an app of its own, as its own user.
func (s *secured) run(t *testing.T, roles ...string) {
	t.Helper()
	s.apps = nil
	for _, role := range roles {
		a, err := app.New(app.Options{
			Config: s.as(role), Roles: []string{role}, Name: "test-" + role,
			Registry: prometheus.NewRegistry(), Logger: s.logger(),
		})
		check(t, err)
		s.apps = append(s.apps, a)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("%s ended with: %v", role, err)
			}
		})
	}
}

func (s *secured) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// publish publishes as a user and returns the outcome.
func (s *secured) publish(t *testing.T, user string, events ...schemas.Event) error {
	t.Helper()
	opts, err := connect.Kafka(s.as(user).Kafka, user, nil)
	check(t, err)
	p, err := producers.New(opts, "test", nil)
	check(t, err)
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return p.Publish(ctx, events...)
}

func (s *secured) load(t *testing.T, tenant string, rows int) {
	t.Helper()
	var events []schemas.Event
	for n := range rows {
		events = append(events, &schemas.Interaction{
			InteractionID: fmt.Sprintf("i-%06d", n), TenantID: tenant, MediaType: schemas.MediaTypes()[n%4],
			StartedAt: schemas.TimeOf(time.Date(2026, 9, 1, 0, n, 0, 0, time.UTC)),
			Queue:     "billing", Text: strings.Repeat(fmt.Sprintf("line %d ", n*7919), 100),
		})
	}
	for chunk := range slices.Chunk(events, 1000) {
		check(t, s.publish(t, "producer", chunk...))
	}
}

func (s *secured) request(tenant, id string) *schemas.ExportRequest {
	from, _ := schemas.ParseTime("2020-01-01T00:00:00Z")
	to, _ := schemas.ParseTime("2030-01-01T00:00:00Z")
	return &schemas.ExportRequest{
		TenantID: tenant, ExportID: id, Entity: schemas.EntityInteraction, From: from, To: to, SplitSize: 256 << 10,
		Recipients: []schemas.Recipient{{Certificate: s.recipient}},
	}
}

func (s *secured) await(t *testing.T, tenant, id string, that func(schemas.Export) bool) (last schemas.Export) {
	t.Helper()
	s.eventually("export "+id, 3*time.Minute, func() error {
		e, ok, err := s.ledger.Export(t.Context(), tenant, id)
		if last = e; err == nil && (!ok || !that(e)) {
			err = fmt.Errorf("it is %q, %+v", e.State, e.Failure)
		}
		return err
	})
	return last
}

func (s *secured) eventually(what string, within time.Duration, try func() error) {
	s.t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within %s: %v", what, within, err)
		}
	}
}

func (s *secured) rolesNeedNoMore(t *testing.T) {
	s.run(t, app.Roles()...)
	s.load(t, "acme", 2000)
	check(t, s.publish(t, "requester", s.request("acme", "secured")))
	e := s.await(t, "acme", "secured", func(e schemas.Export) bool { return e.State.Ended() })
	if e.State != schemas.Completed || e.Done.Rows != 2000 || e.Done.Parts < 2 {
		t.Errorf("%s with %d rows in %d parts, %+v", e.State, e.Done.Rows, e.Done.Parts, e.Failure)
	}
	check(t, s.publish(t, "requester", &schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-1", InteractionID: "i-000007", DeleteArtifacts: true}))
	s.eventually("an erasure", 3*time.Minute, func() error {
		e, _, err := s.ledger.Erasure(t.Context(), "acme", "case-1")
		if err == nil && (e.State != schemas.ErasureDone || e.Rows != 1 || len(e.Exports) != 1) {
			err = fmt.Errorf("it is %+v", e)
		}
		return err
	})
	s.await(t, "acme", "secured", func(e schemas.Export) bool { return e.State == schemas.Deleted })
	for _, a := range s.apps {
		s.eventually("all roles are ready", time.Minute, func() error {
			if problems := a.Ready(t.Context()); len(problems) > 0 {
				return fmt.Errorf("%v", problems)
			}
			return nil
		})
	}
	if said := s.logs.String(); strings.Contains(said, "AUTHORIZATION_FAILED") {
		t.Errorf("a role wanted more: %s", said)
	}
}

// kcat is librdkafka: what most producers that are not Java are built on. It logs in with
// PLAIN: before 2.8 librdkafka repeats the nonce of SCRAM wrongly, which brokers refuse
// since CVE-2024-56128.
func (s *secured) kcatProduces(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat is not installed; `ops/tools/install kcat` does it")
	}
	s.run(t, "ingest", "export", "history")
	settings := filepath.Join(t.TempDir(), "kcat.conf") // the password is no argument
	check(t, os.WriteFile(settings, []byte(strings.Join([]string{
		"bootstrap.servers=" + strings.Join(s.config.Kafka.Brokers, ","), "security.protocol=SASL_SSL",
		"ssl.ca.location=" + s.config.Kafka.TLS.CAFile, "sasl.mechanism=PLAIN",
		"sasl.username=producer", "sasl.password=" + s.passwords["producer"],
	}, "\n")), 0o600))
	produce := func(value string, headers ...string) {
		args := []string{"-F", settings, "-P", "-t", string(schemas.TopicInteractions), "-k", "key"}
		for _, h := range headers {
			args = append(args, "-H", h)
		}
		cmd := exec.Command(kcat, args...)
		cmd.Stdin = strings.NewReader(value)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	const event = `{"interaction_id":"k-%d","tenant_id":"initech","media_type":"voice","started_at":"2026-09-01T00:00:00Z"}`
	produce(fmt.Sprintf(event, 1))
	produce(fmt.Sprintf(event, 2), "ce_specversion=1.0", "ce_type=com.example.interaction", "ce_source=/kcat", "ce_id=2", "content-type=application/json")
	produce("this is not an event")
	check(t, s.publish(t, "requester", s.request("initech", "kcat")))
	e := s.await(t, "initech", "kcat", func(e schemas.Export) bool { return e.State.Ended() })
	if e.State != schemas.Completed || e.Done.Rows != 2 {
		t.Errorf("%s with %d rows of 2, %+v", e.State, e.Done.Rows, e.Failure)
	}
}

func (s *secured) rolesMayDoNoMore(t *testing.T) {
	anInteraction := &schemas.Interaction{
		InteractionID: "i", TenantID: "acme", MediaType: schemas.MediaTypes()[0],
		StartedAt: schemas.TimeOf(time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)),
	}
	for _, forbidden := range []struct {
		user  string
		event schemas.Event
	}{
		{"ingest", s.request("acme", "by-ingest")}, {"ingest", anInteraction},
		{"history", s.request("acme", "by-history")}, {"export", s.request("acme", "by-export")},
		{"producer", s.request("acme", "by-producer")}, {"requester", anInteraction},
	} {
		if err := s.publish(t, forbidden.user, forbidden.event); !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Errorf("%s publishes %T: %v", forbidden.user, forbidden.event, err)
		}
	}
	// Whoever may ask for exports or produce may not read what others produced. The user of the role
	// export may: Kafka lets nobody else commit the snapshots that are promised.
	for _, user := range []string{"producer", "requester", "history"} {
		opts, err := connect.Kafka(s.as(user).Kafka, user, nil)
		check(t, err)
		client, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(string(schemas.TopicInteractions)))...)
		check(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err = client.PollFetches(ctx).Err()
		cancel()
		client.Close()
		if !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Errorf("%s reads interactions: %v", user, err)
		}
	}
}

func (s *secured) wrongCredentialsAreNamed(t *testing.T) {
	const wrong = canary + "-wrong"
	other := newAuthority(t)
	for _, c := range []struct {
		name    string
		change  func(*config.Config)
		service string
		says    string
	}{
		{"the password of Kafka", func(c *config.Config) { c.Kafka.SASL.Password = wrong }, "kafka", "SASL"},
		{"the user of Kafka", func(c *config.Config) { c.Kafka.SASL.Username = "nobody" }, "kafka", "SASL"},
		{"the authority of Kafka", func(c *config.Config) { c.Kafka.TLS.CAFile = other.file }, "kafka", "certificate"},
		{"the password of ClickHouse", func(c *config.Config) { c.ClickHouse.Password = wrong }, "clickhouse", "uthentication"},
		{"the authority of ClickHouse", func(c *config.Config) { c.ClickHouse.TLS.CAFile = other.file }, "clickhouse", "certificate"},
		{"the secret of S3", func(c *config.Config) { c.S3.SecretKey = wrong }, "s3", "signature"},
		{"the authority of S3", func(c *config.Config) { c.S3.TLS.CAFile = other.file }, "s3", "certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := s.config
			c.change(&changed)
			a, err := app.New(app.Options{Config: changed, Roles: []string{"history"}, Name: "test", Registry: prometheus.NewRegistry(), Logger: s.logger()})
			check(t, err)
			defer a.Close()
			problems := a.Ready(t.Context())
			said := problems[c.service]
			maps.DeleteFunc(problems, func(name, _ string) bool { return strings.HasPrefix(name, "history") }) // which has not begun
			if len(problems) != 1 || !strings.Contains(said, c.says) {
				t.Errorf("want %q of %s alone, got %q", c.says, c.service, problems)
			}
			if strings.Contains(said, canary) {
				t.Errorf("the error holds a secret: %s", said)
			}
		})
	}
}

// exportGoesOnWithoutABroker is the last: the broker stays away.
func (s *secured) exportGoesOnWithoutABroker(t *testing.T) {
	s.run(t, "ingest", "export", "history")
	s.load(t, "globex", 4000)
	check(t, s.publish(t, "requester", s.request("globex", "lost")))
	s.await(t, "globex", "lost", func(e schemas.Export) bool { return e.Done.Parts > 0 || e.State.Ended() })
	// The broker that has the group of the exports: its coordinator moves too.
	coordinators := s.admin.FindGroupCoordinators(t.Context(), schemas.GroupExport)
	check(t, coordinators.Error())
	s.nodes[coordinators[schemas.GroupExport].NodeID-1].kill()

	e := s.await(t, "globex", "lost", func(e schemas.Export) bool { return e.State.Ended() })
	if e.State != schemas.Completed || e.Done.Rows != 4000 {
		t.Errorf("%s with %d rows, %+v", e.State, e.Done.Rows, e.Failure)
	}
	check(t, s.publish(t, "requester", s.request("globex", "after")))
	e = s.await(t, "globex", "after", func(e schemas.Export) bool { return e.State.Ended() })
	if e.State != schemas.Completed || e.Done.Rows != 4000 {
		t.Errorf("afterwards: %s with %d rows, %+v", e.State, e.Done.Rows, e.Failure)
	}
}

// safeBuffer takes the logs of several apps.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
