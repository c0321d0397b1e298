package cli_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/twmb/franz-go/pkg/kfake"

	"cdds/ops/cli"
	"cdds/schemas"
)

// hostile clears the screen, in 7 and in 8 bits, reorders what comes after it, and begins
// a line of its own.
const hostile = "a\x1b[2J\u009b2J\u202ereversed\u2066\x7f\r\ncdds: all is well"

// drives reports whether text would do something to a terminal.
func drives(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
	})
}

// onKafka points commands to a broker with these topics.
func onKafka(t *testing.T, topics ...schemas.Topic) {
	t.Helper()
	var names []string
	for _, topic := range topics {
		names = append(names, string(topic))
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, names...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	for name, value := range map[string]string{
		"CDDS_KAFKA_BROKERS":   strings.Join(cluster.ListenAddrs(), ","),
		"CDDS_CLICKHOUSE_ADDR": "127.0.0.1:1", "CDDS_S3_ENDPOINT": "127.0.0.1:1", "CDDS_S3_ACCESS_KEY": "unused", "CDDS_S3_SECRET_KEY": "unused",
	} {
		t.Setenv(name, value)
	}
}

// run runs a command line in this process.
func run(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = cli.Main(args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

func TestNamesFromStrangersDoNotDriveTheTerminal(t *testing.T) {
	onKafka(t, schemas.TopicJobs, schemas.TopicCertificates, schemas.TopicHolds, schemas.TopicAccess, schemas.TopicAudit)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: hostile}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/cert.pem"
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		// name is where the JSON has the hostile name; empty for what is done once and read
		// by people only.
		name string
	}{
		{[]string{"certificate", "add", file, "--tenant", "acme", "--name", hostile}, 0, "name"},
		{[]string{"certificate", "list", "--tenant", "acme"}, 0, "certificates.0.name"},
		{[]string{"token", "create", "--tenant", "acme", "--name", hostile}, 0, "name"},
		{[]string{"token", "list", "--tenant", "acme"}, 0, "tokens.0.name"},
		{[]string{"user", "add", "alice", "--tenant", "acme", "--display-name", hostile}, 0, ""},
		{[]string{"user", "list", "--tenant", "acme"}, 0, "users.0.display_name"},
		{[]string{"job", "create", "--tenant", "acme", "--id", "nightly", "--title", hostile, "--daily", "--all", "--recipient", file}, 0, ""},
		{[]string{"job", "change", "nightly", "--tenant", "acme", "--description", hostile}, 0, "title"},
		{[]string{"job", "list", "--tenant", "acme"}, 0, "jobs.0.title"},
		{[]string{"job", "suspend", hostile, "--tenant", "acme"}, 3, "error"},
		{[]string{"certificate", "list", "--tenant", hostile}, 0, "tenant_id"},
		{[]string{hostile}, 2, "error"},
		{[]string{"verify", t.TempDir() + "/" + hostile}, 3, "error"},
	} {
		code, stdout, stderr := run(c.args...)
		if code != c.code {
			t.Errorf("cdds %q: exit code %d, want %d: %s", c.args, code, c.code, stderr)
		}
		if drives(stdout) || drives(stderr) || strings.Contains("\n"+stdout+stderr, "\ncdds: all is well") {
			t.Errorf("cdds %q drives the terminal: %q %q", c.args, stdout, stderr)
		}
		if c.name == "" {
			continue
		}
		_, stdout, stderr = run(append(c.args, "--json")...)
		if drives(stdout) || drives(stderr) {
			t.Errorf("cdds %q --json drives the terminal: %q %q", c.args, stdout, stderr)
		}
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		if got := member(t, lines[len(lines)-1], c.name); got != hostile && (c.name != "error" || !strings.Contains(got, "all is well")) {
			t.Errorf("cdds %q --json: %s is %q", c.args, c.name, got)
		}
	}
}

// member is a text in JSON, by a path such as tokens.0.name.
func member(t *testing.T, object, path string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(object), &v); err != nil {
		t.Fatalf("no JSON: %v: %s", err, object)
	}
	for step := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			v = in[len(in)-1]
		}
	}
	text, _ := v.(string)
	return text
}

// A shell that does not know the variable makes --signer "$SIGNER" empty.
func TestAnEmptyListIsRefusedAndDoesNotMeanEverybodyOrEverything(t *testing.T) {
	for _, args := range [][]string{
		{"verify", "history", "--signer", ""},
		{"decrypt", "history", "--cert", "cert.pem", "--key", "key.pem", "--signer", ""},
		{"export", "create", "--tenant", "acme", "--from", "2026-09-01", "--to", "2026-09-02", "--recipient", "cert.pem", "--queue", ""},
		{"export", "create", "--tenant", "acme", "--from", "2026-09-01", "--to", "2026-09-02", "--recipient", "cert.pem", "--media", ""},
	} {
		code, _, stderr := run(args...)
		if code != 2 || !strings.Contains(stderr, "is empty; give it a value") {
			t.Errorf("cdds %q: exit code %d, %s", args, code, stderr)
		}
	}
}
