package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

// day is the site and whoever works at it.
type day struct {
	options
	config   string // file of CDDS
	certs    *authority
	services *services
	replicas []*replica
	traffic  *traffic
	prom     *prometheus
	root     string // an administrator's token
	receiver string // fingerprint of the recipient's certificate
	exports  int
	// latest is the last export, to be compared at the end.
	latest, first string
}

// begin starts the services, which have nothing of CDDS in them.
func begin(ctx context.Context, o options) (*day, error) {
	d := &day{options: o, config: filepath.Join(o.dir, "cdds.yaml")}
	for _, dir := range []string{"secrets", "service", "web"} {
		if err := os.MkdirAll(filepath.Join(o.dir, dir), 0o700); err != nil {
			return d, err
		}
	}
	var err error
	if d.certs, err = newAuthority(filepath.Join(o.dir, "ca.pem")); err != nil {
		return d, err
	}
	if d.services, err = startServices(ctx, o.dir, d.certs); err != nil {
		return d, err
	}
	d.traffic = &traffic{options: func() []kgo.Opt { return d.services.clientOptions() }}
	for _, own := range []func() error{d.newSigner, d.newSecrets, d.newWebCertificate, d.configure} {
		if err := own(); err != nil {
			return d, err
		}
	}
	if d.prom, err = startPrometheus(o.dir, o.minute); err == nil && d.prom == nil {
		fmt.Println("Prometheus is not installed (`ops/tools/install prometheus`): alerts are not looked at")
	}
	return d, err
}

// close ends everything.
func (d *day) close() (err error) {
	if d.traffic != nil && d.traffic.stop != nil {
		d.traffic.stop()
	}
	for _, r := range d.replicas {
		err = errors.Join(err, r.stop())
	}
	d.prom.stop()
	if d.services != nil {
		d.services.stop()
	}
	return err
}

// keep writes a secret to a file of its own.
func (d *day) keep(name, content string) error {
	return os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600)
}

func (d *day) keepPair(dir string, cert, key []byte, err error) error {
	return errors.Join(err, d.keep(dir+"/key.pem", string(key)), d.keep(dir+"/cert.pem", string(cert)))
}

// newSigner makes another key that manifests are signed with.
func (d *day) newSigner() error {
	cert, key, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "CDDS " + time.Now().Format(time.TimeOnly), Purpose: smime.Signer})
	return d.keepPair("service", cert, key, err)
}

// newWebCertificate makes another certificate of the console.
func (d *day) newWebCertificate() error {
	cert, key, err := d.certs.issue()
	return d.keepPair("web", cert, key, err)
}

// newSecrets makes other secrets of the service's own. It makes the session key itself.
func (d *day) newSecrets() error {
	if err := os.Remove(filepath.Join(d.dir, "secrets/session")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return errors.Join(d.keep("secrets/webhooks", secret()), d.keep("secrets/pseudonyms", secret()))
}

// configure writes the configuration with the passwords and keys of now.
func (d *day) configure() error {
	e := d.services.stack.Endpoints()
	if err := errors.Join(d.keep("secrets/kafka", d.services.password), d.keep("secrets/clickhouse", e.ClickHouse.Password), d.keep("secrets/s3", e.S3.SecretKey)); err != nil {
		return err
	}
	return os.WriteFile(d.config, fmt.Appendf(nil, `
kafka:
  brokers: [%[2]q]
  replication: 1
  session_timeout: 6s
  tls: {enabled: true, ca_file: %[1]s/ca.pem}
  sasl: {mechanism: %[3]s, username: %[4]s, password_file: %[1]s/secrets/kafka}
clickhouse:
  addr: [%[5]q]
  username: %[6]s
  password_file: %[1]s/secrets/clickhouse
  database: %[7]s
  tls: {enabled: true, ca_file: %[1]s/ca.pem}
s3:
  endpoint: %[8]q
  access_key: %[9]s
  secret_key_file: %[1]s/secrets/s3
  tls: {enabled: true, ca_file: %[1]s/ca.pem}
service: {cert_file: %[1]s/service/cert.pem, key_file: %[1]s/service/key.pem}
webhooks: {secret_file: %[1]s/secrets/webhooks, allow_private: true}
export: {pseudonym_secret_file: %[1]s/secrets/pseudonyms}
web: {cert_file: %[1]s/web/cert.pem, key_file: %[1]s/web/key.pem, session_key_file: %[1]s/secrets/session}
`, d.dir, d.services.kafka.ListenAddrs()[0], mechanism, d.services.user, d.services.doors["clickhouse"].Addr().String(), e.ClickHouse.Username, e.ClickHouse.Database,
		d.services.doors["s3"].Addr().String(), e.S3.AccessKey), 0o600)
}

// restart restarts the replicas one after the other, with the configuration of now.
func (d *day) restart(ctx context.Context) error {
	for _, r := range d.replicas {
		if err := r.stop(); err != nil {
			return err
		}
		if err := r.start(ctx, d.binary, d.config); err != nil {
			return err
		}
	}
	return nil
}

// within bounds every wait for what comes by itself.
const within = 3 * time.Minute

// until waits for what comes by itself; why says what it waits for.
func until(ctx context.Context, is func() (done bool, why string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		done, why, err := is()
		if done || err != nil {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %s", within, why)
		}
	}
}

// step does something, and then waits until doctor and alerts are content. What was
// published by then must be in an export.
func (d *day) step(ctx context.Context, what string, do func() error) error {
	began := time.Now()
	fmt.Printf("\n%s\n", what)
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := d.calm(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	rows, err := d.export(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Printf("  after %4.1f s doctor finds nothing, no alert fires, and an export has all %d interactions\n", time.Since(began).Seconds(), rows)
	return nil
}

// calm waits until doctor finds nothing and no alert fires.
func (d *day) calm(ctx context.Context) error {
	return until(ctx, func() (bool, string, error) {
		wrong, err := d.doctor(ctx)
		if err != nil {
			return false, "", err
		}
		firing, err := d.prom.firing()
		return len(wrong) == 0 && len(firing) == 0, fmt.Sprintf("doctor says %s, alerts %v", told(wrong), firing), err
	})
}

// told are findings in one line.
func told(wrong map[string]string) string {
	var all []string
	for _, check := range slices.Sorted(maps.Keys(wrong)) {
		all = append(all, check+": "+strings.Join(strings.Fields(wrong[check]), " "))
	}
	return strings.Join(all, "; ")
}

// reported waits until doctor's check of each service fails and an alert names the service.
func (d *day) reported(ctx context.Context, services ...string) error {
	return until(ctx, func() (bool, string, error) {
		wrong, err := d.doctor(ctx)
		if err != nil {
			return false, "", err
		}
		firing, err := d.prom.firing()
		if err != nil {
			return false, "", err
		}
		for _, s := range services {
			if wrong[s] == "" || d.prom != nil && !slices.Contains(firing, "CDDSServiceAway "+s) {
				return false, fmt.Sprintf("of %s doctor says %q, and alerts are %v", s, wrong[s], firing), nil
			}
			fmt.Printf("  doctor  %s: %s\n", s, strings.Join(strings.Fields(wrong[s]), " "))
		}
		fmt.Printf("  alerts  %s\n", strings.Join(firing, ", "))
		return true, "", nil
	})
}

// export makes an export and returns how many rows it has: at least what was published
// before. One that failed is retried, as its hint says.
func (d *day) export(ctx context.Context) (rows int64, err error) {
	least := d.traffic.published()
	d.exports++
	d.latest = fmt.Sprintf("day-%03d", d.exports)
	if err := d.request(ctx, d.latest); err != nil {
		return 0, err
	}
	e, err := d.ended(ctx, d.latest)
	if err == nil && e.Done.Rows < int64(least) {
		err = fmt.Errorf("export %s has %d rows, and %d were published before it was asked for", d.latest, e.Done.Rows, least)
	}
	return e.Done.Rows, err
}

func (d *day) request(ctx context.Context, id string) error {
	status, err := d.ask(ctx, id)
	if err == nil && status != http.StatusAccepted {
		err = fmt.Errorf("the request of export %s is answered with %d", id, status)
	}
	return err
}

func (d *day) ask(ctx context.Context, id string) (status int, err error) {
	return d.call(ctx, d.replicas[0], d.root, http.MethodPost, "/exports", map[string]any{
		"export_id": id, "entity": "interaction", "from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z",
		"recipients": []map[string]any{{"fingerprint": d.receiver}},
	}, nil)
}

// ended waits until an export is completed.
func (d *day) ended(ctx context.Context, id string) (e schemas.Export, err error) {
	err = until(ctx, func() (bool, string, error) {
		status, err := d.call(ctx, d.replicas[0], d.root, http.MethodGet, "/exports/"+id, nil, &e)
		if err != nil || status != http.StatusOK {
			return false, fmt.Sprintf("export %s is answered with %d, %v", id, status, err), nil
		}
		if e.State == schemas.Failed && e.Failure.Retryable {
			_, err = d.call(ctx, d.replicas[0], d.root, http.MethodPost, "/exports/"+id+"/retry", nil, nil)
			return false, fmt.Sprintf("export %s failed: %+v, %v", id, e.Failure, err), nil
		}
		if e.State.Ended() && e.State != schemas.Completed {
			return false, "", fmt.Errorf("export %s is %s: %+v", id, e.State, e.Failure)
		}
		return e.State == schemas.Completed, fmt.Sprintf("export %s is %s", id, e.State), nil
	})
	return e, err
}

// must makes a request of the API with the administrator's token.
func (d *day) must(ctx context.Context, status int, method, path string, in, out any) error {
	got, err := d.call(ctx, d.replicas[0], d.root, method, path, in, out)
	if err == nil && got != status {
		err = fmt.Errorf("%s %s is answered with %d, want %d", method, path, got, status)
	}
	return err
}

// call makes a request of a replica's API, with a token or a cookie.
func (d *day) call(ctx context.Context, r *replica, token, method, path string, in, out any) (status int, err error) {
	var body io.Reader
	kind := "application/json"
	switch v := in.(type) {
	case nil:
	case []byte:
		body, kind = bytes.NewReader(v), "application/octet-stream"
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, "https://"+r.web+schemas.APIPrefix+path, body)
	if err != nil {
		return 0, err
	}
	if body != nil {
		q.Header.Set("Content-Type", kind)
	}
	if strings.HasPrefix(token, "cdds_") {
		q.Header.Set("Authorization", "Bearer "+token)
	} else if token != "" {
		q.Header.Set("Cookie", token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: d.certs.trusted()}}}
	answer, err := client.Do(q)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err == nil && out != nil && answer.StatusCode < 300 {
		if cookie, ok := out.(*string); ok {
			for _, c := range answer.Cookies() {
				*cookie = c.Name + "=" + c.Value
			}
		} else {
			err = schemas.Read(content, out)
		}
	}
	return answer.StatusCode, err
}
