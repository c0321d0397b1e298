package cli_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/cli"
	"cdds/pipeline"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// TestMain lets scripts run cdds as a process of its own: this test binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cdds": func() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// The scripts in testdata are command lines as people type them. Beside cdds they
// have
//
//	makeexport DIR RECIPIENT.pem SIGNER.pem SIGNER.key   write a sealed and signed export of two parts;
//	           JOB NUMBER PREVIOUS-DIR                   and it is a run of a chain, of which the first continues none
//	flip FILE                                            change a byte in the middle
//	jsonline KEY VALUE                                   stdout ends in one object on one line with this member
//	kafka TOPIC...                                       start a broker with these topics and point cdds to it
//	records TOPIC COUNT                                  the topic has so many records
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"makeexport": makeExport,
			"flip":       flip,
			"jsonline":   jsonLine,
			"kafka":      startKafka,
			"records":    countRecords,
		},
	})
}

func makeExport(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	recipients, err := smime.ParseRecipients([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	service, err := tls.X509KeyPair([]byte(ts.ReadFile(args[2])), []byte(ts.ReadFile(args[3])))
	ts.Check(err)
	ts.Check(os.MkdirAll(dir, 0o755))

	at := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	m := schemas.Manifest{
		Version: schemas.ManifestVersion, TenantID: "acme", ExportID: "x1",
		Filter: schemas.Filter{TenantID: "acme", Entity: schemas.EntityInteraction, From: schemas.TimeOf(at), To: schemas.TimeOf(at.AddDate(0, 1, 0))},
		Topic:  schemas.TopicInteractions, Snapshot: schemas.Snapshot{4, 0, 6},
		Recipients: pipeline.CertificateRefs(recipients),
	}
	for n := 1; n <= 2; n++ {
		lines := bytes.Repeat(fmt.Appendf(nil, `{"part":%d}`+"\n", n), 5)
		zipped := zipOf(ts, schemas.EntryName(m.Filter.Entity, schemas.Part{Number: n}), lines)
		sealed := seal(ts, zipped, recipients)
		m.Parts = append(m.Parts, schemas.Receipt{
			Part: schemas.Part{
				Number: n, Rows: 5, Bytes: int64(len(lines)),
				First: schemas.RowKey{Time: schemas.TimeOf(at.AddDate(0, 0, 2*n))},
				Last:  schemas.RowKey{Time: schemas.TimeOf(at.AddDate(0, 0, 2*n+1))},
			},
			Name:        schemas.PartName(m.Filter.Entity, m.ExportID, schemas.Part{Number: n}),
			JSONLSHA256: digest(lines), ZipBytes: int64(len(zipped)), ZipSHA256: digest(zipped),
			SealedBytes: int64(len(sealed)), SealedSHA256: digest(sealed),
		})
		ts.Check(os.WriteFile(filepath.Join(dir, m.Parts[n-1].Name), sealed, 0o644))
	}
	if len(args) > 4 {
		m.Chain = &schemas.Chain{JobID: args[4], FilterDigest: schemas.FilterDigest(m.Filter)}
		m.Chain.Number, err = strconv.Atoi(args[5])
		ts.Check(err)
	}
	if len(args) > 6 {
		m.SinceExport, m.Since = "x0", schemas.Snapshot{1, 0, 1}
		m.Chain.PreviousExportID, m.Chain.PreviousManifestSHA256 = "x0", digest([]byte(ts.ReadFile(filepath.Join(args[6], schemas.ManifestName))))
	}
	m.Totals = schemas.Total(m.Parts)
	content, err := schemas.Encode(m)
	ts.Check(err)
	signature, err := smime.Sign(content, service.Leaf, service.PrivateKey.(crypto.Signer))
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, schemas.ManifestName), content, 0o644))
	ts.Check(os.WriteFile(filepath.Join(dir, schemas.SignatureName), signature, 0o644))
}

func zipOf(ts *testscript.TestScript, name string, content []byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	entry, err := w.Create(name)
	ts.Check(err)
	_, err = entry.Write(content)
	ts.Check(err)
	ts.Check(w.Close())
	return b.Bytes()
}

func seal(ts *testscript.TestScript, content []byte, recipients []*x509.Certificate) []byte {
	var b bytes.Buffer
	w, err := smime.Encrypt(&b, smime.Options{ContentSize: int64(len(content))}, recipients...)
	ts.Check(err)
	_, err = w.Write(content)
	ts.Check(err)
	ts.Check(w.Close())
	return b.Bytes()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	b := []byte(ts.ReadFile(args[0]))
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// jsonLine follows a path of members and indexes, such as violations.0.rule.
func jsonLine(ts *testscript.TestScript, neg bool, args []string) {
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\n"), "\n")
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &object))
	var v any = object
	for _, step := range strings.Split(args[0], ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			var i int
			_, err := fmt.Sscan(step, &i)
			ts.Check(err)
			if i >= len(in) {
				ts.Fatalf("%s: there are only %d", args[0], len(in))
			}
			v = in[i]
		}
	}
	if got := fmt.Sprint(v); (got == args[1]) == neg {
		ts.Fatalf("%s is %s, and %s was expected: %v", args[0], got, args[1], !neg)
	}
}

func startKafka(ts *testscript.TestScript, _ bool, topics []string) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topics...))
	ts.Check(err)
	ts.Defer(cluster.Close)
	ts.Setenv("CDDS_KAFKA_BROKERS", strings.Join(cluster.ListenAddrs(), ","))
	// Configured, since a system has all three, but not used.
	ts.Setenv("CDDS_CLICKHOUSE_ADDR", "127.0.0.1:1")
	ts.Setenv("CDDS_S3_ENDPOINT", "127.0.0.1:1")
	ts.Setenv("CDDS_S3_ACCESS_KEY", "unused")
	ts.Setenv("CDDS_S3_SECRET_KEY", "unused")
}

func countRecords(ts *testscript.TestScript, _ bool, args []string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(ts.Getenv("CDDS_KAFKA_BROKERS")), kgo.ConsumeTopics(args[0]))
	ts.Check(err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var want, got int
	_, err = fmt.Sscan(args[1], &want)
	ts.Check(err)
	for got < want {
		fetches := client.PollFetches(ctx)
		ts.Check(fetches.Err())
		got += fetches.NumRecords()
	}
	if got != want {
		ts.Fatalf("%s has %d records, not %d", args[0], got, want)
	}
}
