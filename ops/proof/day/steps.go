package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cdds/ops/stack"
	"cdds/pipeline/smime"
)

// steps is the day.
func (d *day) steps(ctx context.Context) error {
	for _, s := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"install", d.install},
		{"upgrade: provision with the new release, then roll its processes", d.upgrade},
		{"lose Kafka", d.loses(stack.Kafka)},
		{"lose ClickHouse", d.loses(stack.ClickHouse)},
		{"lose S3", d.loses(stack.S3)},
		{"rotate the password of Kafka", d.rotateKafka},
		{"rotate the password of ClickHouse and the keys of S3", d.rotateStores},
		{"rotate the authority and the certificates of the services", d.rotateTLS},
		{"rotate the certificate of the console, without a restart", d.rotateWeb},
		{"rotate the signing key", d.rotateSigner},
		{"rotate the secrets of sessions, webhooks and pseudonyms", d.rotateSecrets},
		{"add a replica", d.addReplica},
		{"fire an administrator", d.fire},
		{"take the first replica away", d.removeFirst},
	} {
		if err := d.step(ctx, s.what, func() error { return s.do(ctx) }); err != nil {
			return err
		}
	}
	return d.compare(ctx)
}

// install provisions the services, starts a process and registers a receiver's certificate.
func (d *day) install(ctx context.Context) error {
	newest := d.binary
	d.binary = d.before
	defer func() { d.binary = newest }()
	if err := d.cdds(ctx, nil, "provision"); err != nil {
		return err
	}
	if err := d.addReplica(ctx); err != nil {
		return err
	}
	var made struct {
		Secret string `json:"secret"`
	}
	if err := d.cdds(ctx, &made, "token", "create", "--tenant", tenant, "--role", "administrator", "--name", "day", "--expires", "24h"); err != nil {
		return err
	}
	d.root = made.Secret
	cert, key, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "receiver"})
	if err := errors.Join(err, d.keep("receiver.pem", string(cert)), d.keep("receiver.key", string(key))); err != nil {
		return err
	}
	var registered struct {
		Fingerprint string `json:"fingerprint"`
	}
	if err := d.must(ctx, http.StatusCreated, http.MethodPost, "/certificates?name=receiver", cert, &registered); err != nil {
		return err
	}
	d.receiver = registered.Fingerprint
	d.traffic.start()
	err = until(ctx, func() (bool, string, error) {
		return d.traffic.published() > 20, fmt.Sprint("publishing: ", d.traffic.last), nil
	})
	if err == nil {
		_, err = d.export(ctx)
		d.first = d.latest
	}
	return err
}

func (d *day) upgrade(ctx context.Context) error {
	if err := d.cdds(ctx, nil, "provision"); err != nil {
		return err
	}
	return d.restart(ctx)
}

// loses takes a service away. An export that is accepted meanwhile is completed afterwards.
func (d *day) loses(service string) func(context.Context) error {
	return func(ctx context.Context) error {
		back := time.Now().Add(d.outage)
		d.services.doors[service].close()
		defer d.services.doors[service].open()
		meanwhile := "while-" + service + "-is-away"
		status, err := d.ask(ctx, meanwhile)
		fmt.Printf("  an export that is asked for meanwhile is answered with %d\n", status)
		if err != nil || status != http.StatusAccepted && status < http.StatusInternalServerError {
			return fmt.Errorf("an export that is asked for meanwhile is answered with %d, %w", status, err)
		}
		if err := d.reported(ctx, service); err != nil {
			return err
		}
		select {
		case <-time.After(time.Until(back)):
		case <-ctx.Done():
			return ctx.Err()
		}
		d.services.doors[service].open()
		if status != http.StatusAccepted {
			return nil
		}
		_, err = d.ended(ctx, meanwhile)
		return err
	}
}

// rotateKafka gives CDDS another password. Its processes go on with the connections they have,
// until they are restarted with the new one.
func (d *day) rotateKafka(ctx context.Context) error {
	if err := d.services.newPassword(ctx); err != nil {
		return err
	}
	err := until(ctx, func() (bool, string, error) {
		wrong, err := d.doctor(ctx)
		if wrong["kafka"] != "" {
			fmt.Printf("  doctor, with the old one  kafka: %s\n", strings.Join(strings.Fields(wrong["kafka"]), " "))
		}
		return wrong["kafka"] != "", "doctor still gets in with the old password", err
	})
	if err := errors.Join(err, d.configure()); err != nil {
		return err
	}
	return d.restart(ctx)
}

// rotateStores has ClickHouse and S3 refuse everybody until CDDS has the new keys.
func (d *day) rotateStores(ctx context.Context) error {
	if err := d.services.rekey(ctx); err != nil {
		return err
	}
	if err := d.reported(ctx, stack.ClickHouse, stack.S3); err != nil {
		return err
	}
	if err := d.configure(); err != nil {
		return err
	}
	return d.restart(ctx)
}

// rotateTLS replaces the authority: CDDS trusts both, then the services show certificates of the
// new one, then the old one is trusted no more.
func (d *day) rotateTLS(ctx context.Context) error {
	for _, do := range []func() error{
		d.certs.renew, func() error { return d.restart(ctx) }, d.certs.serveNew, d.certs.forget, d.newWebCertificate, func() error { return d.restart(ctx) },
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func (d *day) rotateWeb(ctx context.Context) error {
	before, err := d.webSerial()
	if err != nil {
		return err
	}
	if err := d.newWebCertificate(); err != nil {
		return err
	}
	return until(ctx, func() (bool, string, error) {
		now, err := d.webSerial()
		return now != before, "the console shows the certificate of before", err
	})
}

// webSerial is the serial number of the certificate that the console shows.
func (d *day) webSerial() (string, error) {
	c, err := tls.Dial("tcp", d.replicas[0].web, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: d.certs.trusted()})
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// rotateSigner keeps the old certificate, with which receivers verify what it signed.
func (d *day) rotateSigner(ctx context.Context) error {
	if err := os.Rename(filepath.Join(d.dir, "service/cert.pem"), filepath.Join(d.dir, "service/old.pem")); err != nil {
		return err
	}
	if err := d.newSigner(); err != nil {
		return err
	}
	return d.restart(ctx)
}

// rotateSecrets ends sessions, and webhooks are signed by another secret; tokens go on.
func (d *day) rotateSecrets(ctx context.Context) error {
	if err := d.must(ctx, http.StatusCreated, http.MethodPost, "/jobs", map[string]any{
		"job_id": "hooked", "title": "Hooked", "entity": "interaction", "schedule": map[string]any{"run": "daily", "at": "03:00"},
		"timeframe": map[string]any{"kind": "all"}, "recipients": []string{d.receiver}, "webhook": map[string]any{"url": "http://127.0.0.1:1/", "secret_version": 1},
	}, nil); err != nil {
		return err
	}
	var before, after struct {
		Secret string `json:"secret"`
	}
	if err := d.must(ctx, http.StatusOK, http.MethodGet, "/jobs/hooked/webhook-secret", nil, &before); err != nil {
		return err
	}
	cookie, err := d.signIn(ctx, "carol")
	if err != nil {
		return err
	}
	if err := d.newSecrets(); err != nil {
		return err
	}
	if err := d.restart(ctx); err != nil {
		return err
	}
	if err := d.must(ctx, http.StatusOK, http.MethodGet, "/jobs/hooked/webhook-secret", nil, &after); err != nil {
		return err
	}
	if after.Secret == "" || after.Secret == before.Secret {
		return errors.New("webhooks are signed with the secret of before")
	}
	return d.refused(ctx, "a session of before the rotation", cookie)
}

// signIn makes an administrator and signs it in.
func (d *day) signIn(ctx context.Context, name string) (cookie string, err error) {
	var once struct {
		Password string `json:"password"`
	}
	if err := d.must(ctx, http.StatusCreated, http.MethodPost, "/users", map[string]any{"name": name, "role": "administrator"}, &once); err != nil {
		return "", err
	}
	const own = "correct horse battery staple"
	for _, c := range []struct {
		method, path string
		body         any
		status       int
	}{
		{http.MethodPost, "/session", map[string]any{"name": name, "password": once.Password}, http.StatusOK},
		{http.MethodPut, "/session/password", map[string]any{"old": once.Password, "new": own}, http.StatusNoContent},
		{http.MethodPost, "/session", map[string]any{"name": name, "password": own}, http.StatusOK},
	} {
		status, err := d.call(ctx, d.replicas[0], cookie, c.method, c.path, c.body, &cookie)
		if err != nil || status != c.status {
			return "", fmt.Errorf("%s %s of %s is answered with %d, %w", c.method, c.path, name, status, err)
		}
	}
	return cookie, nil
}

// refused checks that no replica takes a cookie or a token.
func (d *day) refused(ctx context.Context, what, credential string) error {
	for _, r := range d.replicas {
		status, err := d.call(ctx, r, credential, http.MethodGet, "/exports", nil, nil)
		if err != nil || status != http.StatusUnauthorized {
			return fmt.Errorf("%s is answered with %d by replica %s, %w", what, status, r.name, err)
		}
	}
	return nil
}

func (d *day) addReplica(ctx context.Context) error {
	r, err := newReplica(d.dir, string(rune('a'+len(d.replicas))))
	if err != nil {
		return err
	}
	if err := r.start(ctx, d.binary, d.config); err != nil {
		return err
	}
	d.replicas = append(d.replicas, r)
	return d.prom.watch(d.replicas...)
}

// fire deletes an administrator who is signed in and has made a token.
func (d *day) fire(ctx context.Context) error {
	cookie, err := d.signIn(ctx, "bob")
	if err != nil {
		return err
	}
	var token struct {
		Secret string `json:"secret"`
	}
	status, err := d.call(ctx, d.replicas[1], cookie, http.MethodPost, "/tokens", map[string]any{
		"name": "a back door", "role": "administrator", "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}, &token)
	if err != nil || status != http.StatusCreated {
		return fmt.Errorf("bob's token is answered with %d, %w", status, err)
	}
	if err := d.must(ctx, http.StatusNoContent, http.MethodDelete, "/users/bob", nil, nil); err != nil {
		return err
	}
	return errors.Join(d.refused(ctx, "bob's session", cookie), d.refused(ctx, "bob's token", token.Secret))
}

// removeFirst ends the replica that has been there all day. The other takes over.
func (d *day) removeFirst(context.Context) error {
	if err := d.prom.watch(d.replicas[1:]...); err != nil {
		return err
	}
	err := d.replicas[0].stop()
	d.replicas = d.replicas[1:]
	return err
}

// compare decrypts the last export and looks for everything that Kafka acknowledged; and the
// first one, which another key signed.
func (d *day) compare(ctx context.Context) error {
	fmt.Printf("\ncompare\n")
	d.traffic.stop()
	d.traffic.stop = nil
	if _, err := d.export(ctx); err != nil {
		return err
	}
	for id, signer := range map[string]string{d.latest: "service/cert.pem", d.first: "service/old.pem"} {
		files := filepath.Join(d.dir, id)
		for _, args := range [][]string{
			{"export", "download", id, "--tenant", tenant, "--out", files},
			{"verify", files, "--signer", filepath.Join(d.dir, signer), "--tenant", tenant, "--export", id},
			{"decrypt", files, "--cert", filepath.Join(d.dir, "receiver.pem"), "--key", filepath.Join(d.dir, "receiver.key"), "--out", filepath.Join(files, "plain")},
		} {
			if err := d.cdds(ctx, nil, args...); err != nil {
				return err
			}
		}
	}
	found, err := lines(filepath.Join(d.dir, d.latest, "plain"))
	if err != nil {
		return err
	}
	published := d.traffic.published()
	for n := range published {
		if times := found[interaction(n).InteractionID]; times != 1 {
			return fmt.Errorf("%s was acknowledged and is %d times in the export", interaction(n).InteractionID, times)
		}
	}
	fmt.Printf("  each of the %d interactions that Kafka acknowledged is in the last export once; the first export verifies with the key that signed it\n", published)
	return nil
}

// lines counts the interactions in the decrypted files of an export, by id.
func lines(dir string) (map[string]int, error) {
	found := map[string]int{}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		scanner := bufio.NewScanner(f)
		for scanner.Scan() {
			_, id, _ := strings.Cut(scanner.Text(), `"interaction_id":"`)
			id, _, _ = strings.Cut(id, `"`)
			found[id]++
		}
		if err := scanner.Err(); err != nil {
			return nil, err
		}
	}
	return found, nil
}
