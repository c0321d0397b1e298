//go:build !receiver && !production

package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/shell"
	"cdds/pipeline/receiver"
	"cdds/pipeline/smime"
	"cdds/producers"
	"cdds/schemas"
	"cdds/schemas/sample"
)

func newDemo(s *session) *cobra.Command {
	var d demo
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Everything once, on sample data, with the proof",
		Long: `Start the embedded stack in a directory of its own, import sample interactions of
two tenants, export each tenant's, download, verify the manifest, decrypt with this
machine's openssl and unzip, and compare every line with the line that went in. The command
leaves nothing running, and no files unless --keep names a directory.

` + exitCodes,
		Example: examples("cdds demo", "cdds demo --rows 100000 --keep demo-output"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.session = s
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().IntVar(&d.rows, "rows", 20_000, "`number` of sample interactions")
	cmd.Flags().StringVar(&d.keep, "keep", "", "`directory` to leave everything in")
	return cmd
}

// demo is one run of the demonstration.
type demo struct {
	*session
	rows int
	keep string

	dir      string
	services *services
	went     map[string]digests // what went in, by tenant
}

// proof is what the demonstration shows of one tenant.
type proof struct {
	Tenant      string  `json:"tenant"`
	ExportID    string  `json:"export_id"`
	Rows        int64   `json:"rows"`
	Parts       int     `json:"parts"`
	JSONLBytes  int64   `json:"jsonl_bytes"`
	ZipBytes    int64   `json:"zip_bytes"`
	SealedBytes int64   `json:"sealed_bytes"`
	Seconds     float64 `json:"seconds"`
	Attachments int64   `json:"attachments"`
	Equal       bool    `json:"equal"`
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.rows < 1 {
		return usageError{errors.New("--rows must be at least 1")}
	}
	started := time.Now()
	if d.dir, err = d.directory(); err != nil {
		return err
	}
	if d.keep == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	logFile, err := os.Create(filepath.Join(d.dir, "cdds.log"))
	if err != nil {
		return err
	}
	defer logFile.Close()

	// The demonstration is of the embedded stack, whatever else is configured.
	d.dataDir = filepath.Join(d.dir, "data")
	d.say("starting Kafka, ClickHouse and S3")
	roles := slices.DeleteFunc(app.Roles(), func(role string) bool { return role == "web" }) // nobody looks
	sys, err := d.start(ctx, config.Default(), roles, time.Minute, slog.New(slog.NewTextHandler(logFile, nil)))
	if err != nil {
		return err
	}
	runCtx, stop := context.WithCancel(ctx)
	up, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- sys.run(runCtx, func() error { close(up); return nil }) }()
	var proofs []proof
	select {
	case <-up:
		proofs, err = d.prove(ctx, sys.config)
		stop()
		err = errors.Join(err, <-ended)
	case err = <-ended:
		stop()
	}
	if err != nil {
		return err
	}
	return d.show(proofs, time.Since(started))
}

// directory makes where everything happens.
func (d *demo) directory() (string, error) {
	if d.keep == "" {
		return os.MkdirTemp("", "cdds-demo-")
	}
	dir, err := filepath.Abs(d.keep)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", usageError{fmt.Errorf("--keep wants a directory that is not there yet: %w", err)}
	}
	return dir, nil
}

// prove is the demonstration proper, on a running system.
func (d *demo) prove(ctx context.Context, c config.Config) (_ []proof, err error) {
	if d.services, err = connectAll(c); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.services.close()) }()
	file := filepath.Join(d.dir, "sample.jsonl")
	if err := d.writeSample(file); err != nil {
		return nil, err
	}
	d.say("importing %s", schemas.Counted(d.rows, "interaction"))
	report, err := d.importFiles(ctx, d.services, schemas.TopicInteractions, "", []string{file}, nil)
	if err != nil {
		return nil, err
	}
	if report.Published != int64(d.rows) {
		return nil, unproven(fmt.Errorf("published %d of %s", report.Published, schemas.Counted(d.rows, "interaction")))
	}
	if err := d.makeKeys(); err != nil {
		return nil, err
	}
	var proofs []proof
	for _, tenant := range slices.Sorted(maps.Keys(d.went)) {
		p, err := d.proveTenant(ctx, tenant, c.Service.CertFile)
		if err != nil {
			return nil, fmt.Errorf("tenant %s: %w", tenant, err)
		}
		proofs = append(proofs, p)
	}
	return proofs, nil
}

// writeSample writes the file to import and remembers each line's digest.
func (d *demo) writeSample(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	d.went = map[string]digests{}
	err = writeSample(f, sample.Interactions(1, d.rows), func(e *schemas.Interaction, line []byte) {
		if d.went[e.TenantID] == nil {
			d.went[e.TenantID] = digests{}
		}
		d.went[e.TenantID].add(line)
	})
	return errors.Join(err, f.Close())
}

func (d *demo) certFile() string { return filepath.Join(d.dir, "cert.pem") }
func (d *demo) keyFile() string  { return filepath.Join(d.dir, "key.pem") }

func (d *demo) makeKeys() error {
	cert, key, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "CDDS demo receiver"})
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(d.certFile(), cert, 0o644), os.WriteFile(d.keyFile(), key, 0o600)) //nolint:gosec // a certificate is public
}

// proveTenant exports, downloads, verifies, decrypts with stock tools and compares.
func (d *demo) proveTenant(ctx context.Context, tenant, signer string) (proof, error) {
	p := proof{Tenant: tenant}
	e, seconds, err := d.exportAll(ctx, tenant)
	if err != nil {
		return p, err
	}
	dir := filepath.Join(d.dir, "download", tenant)
	d.say("%s: downloading and verifying %s", tenant, schemas.Counted(e.Done.Parts, "part"))
	if err := d.download(ctx, d.services.stored(e, nil), dir); err != nil {
		return p, err
	}
	signers, err := readCertificates(signer)
	if err != nil {
		return p, err
	}
	report, err := receiver.Verify(ctx, dir, receiver.Options{Signers: signers})
	if err != nil {
		return p, unproven(err)
	}
	d.say("%s: decrypting with openssl and unzip, comparing every line", tenant)
	came := digests{}
	err = report.PartsIn(dir, func(part schemas.Receipt) error {
		if part.Kind == schemas.KindAttachments {
			return openAttachments(ctx, filepath.Join(dir, part.Name), d.certFile(), d.keyFile(), part)
		}
		return openWithStockTools(ctx, filepath.Join(dir, part.Name), d.certFile(), d.keyFile(), came)
	})
	if err != nil {
		return p, err
	}
	t := e.Done
	p = proof{tenant, e.ExportID, t.Rows, t.Parts, t.JSONLBytes, t.ZipBytes, t.SealedBytes, seconds, t.Attachments, came.equal(d.went[tenant])}
	if !p.Equal {
		return p, unproven(fmt.Errorf("%s came out and %d went in, and they differ", schemas.Counted(came.lines(), "line"), d.went[tenant].lines()))
	}
	return p, nil
}

// exportAll exports everything of a tenant and returns how long that took, from the
// request to its completion in history.
func (d *demo) exportAll(ctx context.Context, tenant string) (schemas.Export, float64, error) {
	f := createFlags{
		tenant: tenant, id: ulid.Make().String(), entity: schemas.EntityInteraction, from: "1990-01-01", to: "2100-01-01",
		recipients: []string{d.certFile()}, shape: shapeFlags{splitSize: "4MiB"},
	}
	r, err := f.request()
	if err != nil {
		return schemas.Export{}, 0, err
	}
	publisher, err := producers.New(d.services.kafka, "cdds/demo", nil)
	if err != nil {
		return schemas.Export{}, 0, err
	}
	defer publisher.Close()
	started := time.Now()
	if err := publisher.Publish(ctx, r); err != nil {
		return schemas.Export{}, 0, unreachable(err)
	}
	e, err := d.await(ctx, d.services, r, true)
	if err == nil {
		err = outcome(e)
	}
	return e, time.Since(started).Seconds(), err
}

func (d *demo) show(proofs []proof, took time.Duration) error {
	return d.result(map[string]any{"equal": true, "tenants": proofs, "seconds": took.Seconds(), "dir": d.keep}, func() {
		rows := [][]string{{"TENANT", "ROWS", "PARTS", "JSON LINES", "ZIP", "SEALED", "RATIO", "FILES", "EXPORT", "IN = OUT"}}
		for _, p := range proofs {
			rows = append(rows, []string{
				p.Tenant, schemas.Grouped(p.Rows), fmt.Sprint(p.Parts), size(p.JSONLBytes), size(p.ZipBytes), size(p.SealedBytes),
				fmt.Sprintf("%.2f", float64(p.JSONLBytes)/float64(p.ZipBytes)), schemas.Grouped(p.Attachments), fmt.Sprintf("%.2f s", p.Seconds), "every line",
			})
		}
		d.table(rows)
		fmt.Fprintf(d.out, "\nThe manifests' signatures, every digest, line and attachment hold. %.1f s in all.\n", took.Seconds())
		if d.keep != "" {
			fmt.Fprintf(d.out, "Everything is in %s. Try: %s\n", d.keep, shell.Command("cdds", "verify", filepath.Join(d.keep, "download", proofs[0].Tenant)))
		} else {
			fmt.Fprintln(d.out, "Nothing is left behind. Next: `cdds up` keeps a system running; `cdds demo --keep DIR` keeps what it made.")
		}
	})
}
