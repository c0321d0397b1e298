package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/pipeline/mirror"
	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// syncFlags are the flags of `sync`.
type syncFlags struct {
	decryptFlags
	signers                                     []string
	tenant, job, from, to, work, files, metrics string
	noAttachments, watch                        bool
	every                                       time.Duration
}

func newSync(s *session) *cobra.Command {
	var f syncFlags
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Keep a copy of what a job exports, always right, in a database or in files",
		Long: `Keep a copy of what a job exports, for a job that exports what came since its last run.
Each run is fetched, verified, decrypted and applied in one transaction with the position
it leads to: rows that are new or changed come, rows that left the filter, were erased or
are kept no longer go. Whatever ends the command, the next one goes on; no run is applied
twice or half, and none is left out.

--to says where:
  sqlite:FILE       tables interactions, contacts and attachments (a FILE alone means this)
  postgres://...    the same tables in PostgreSQL 15 or later, in the schema of search_path
  parquet:DIR       a file a month, such as interactions/2026-05.parquet
  jsonl:DIR         a file a month with the lines of exports

Attachments are files named after their SHA-256 in the directory --files; the table
attachments says which belongs to what. Work in progress is below --work: encrypted files,
and for moments plaintext.

Runs come from the server that --server names, with a token that may fetch artifacts, or
from files alone, --from DIR, below which each export has a directory of its own.

` + exitCodes,
		Example: examples(
			"cdds sync --server https://cdds.example.com --token-file token --tenant acme --job nightly --cert cert.pem --key key.pem --signer service.pem --to history.sqlite",
			"cdds sync --from carried --cert cert.pem --key key.pem --signer service.pem --to parquet:history",
			"cdds sync --server https://cdds.example.com --token-file token --tenant acme --job nightly --key pair.p12 --passphrase-file secret.txt --signer service.pem --to postgres://cdds@db/history --watch"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.sync(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.tenant, "tenant", os.Getenv("CDDS_TENANT"), "`tenant` of the job (CDDS_TENANT; or else the context's, or the token's)")
	flags.StringVar(&f.job, "job", "", "`id` of the job to follow; with --from only where there are several")
	flags.StringVar(&f.from, "from", "", "`directory` with downloaded exports, instead of --server")
	flags.StringVar(&f.to, "to", "", "`destination` of the copy: sqlite:FILE, postgres://..., parquet:DIR or jsonl:DIR (required)")
	flags.StringVar(&f.cert, "cert", "", "`file` with the certificate the exports are sealed for, PEM or DER; not needed if --key holds it")
	flags.StringVar(&f.key, "key", "", "`file` with its RSA private key: PEM, DER or PKCS#12 (required)")
	flags.StringVar(&f.passphrase, "passphrase-file", "", "`file` whose first line is the passphrase of the key")
	flags.StringVar(&f.files, "files", "", "`directory` for attachments (default: beside the copy)")
	flags.BoolVar(&f.noAttachments, "no-attachments", false, "keep no contents of attachments")
	flags.StringVar(&f.work, "work", "", "`directory` for work in progress (default: beside the copy)")
	flags.BoolVar(&f.watch, "watch", false, "go on, and apply runs as they are completed")
	flags.DurationVar(&f.every, "every", 10*time.Second, "with --watch, how often --from is looked through")
	flags.StringVar(&f.metrics, "metrics", "", "with --watch, serve Prometheus metrics at this `address`, such as 127.0.0.1:9464")
	signerFlag(cmd, &f.signers)
	return cmd
}

func (s *session) sync(ctx context.Context, f syncFlags) (err error) {
	feed, err := s.feed(ctx, f)
	if err != nil {
		return err
	}
	if len(f.signers) == 0 {
		return usageError{errors.New("--signer is required: the certificate of the service, or its SHA-256 fingerprint; `cdds verify` shows it of an export")}
	}
	options, err := pins(f.signers)
	if err != nil {
		return err
	}
	f.out = "." // where pair expects decrypt to write
	cert, key, err := f.pair(s.passphrase(f.passphrase))
	if err != nil {
		return err
	}
	at, err := copyAt(f)
	if err != nil {
		return usageError{err}
	}
	destination, err := at.open(ctx)
	if err != nil {
		return copying(err)
	}
	defer func() { err = errors.Join(err, destination.Close()) }()
	c := &mirror.Copy{Destination: destination}
	if !f.noAttachments {
		if c.Files, err = mirror.OpenFiles(at.files); err != nil {
			return copying(err)
		}
		defer func() { err = errors.Join(err, c.Files.Close()) }()
	}
	follower := &mirror.Follower{
		Feed: feed, Copy: c, Work: at.work, Now: func() schemas.Time { return schemas.TimeOf(time.Now()) },
		Open:    s.opener(cert, key, options),
		Applied: s.applied,
	}
	if f.watch {
		return s.follow(ctx, f, follower)
	}
	n, position, err := follower.Follow(ctx)
	if err != nil {
		return copying(err)
	}
	return s.result(map[string]any{"runs": n, "position": position}, func() {
		s.print("%s applied; the copy has %s as of run %d, %s\n", schemas.Counted(n, "run"), schemas.Counted(position.Rows, "row"), position.Number, position.ExportID)
	})
}

// opener opens a run that was fetched, with the receiver's key.
func (s *session) opener(cert *x509.Certificate, key crypto.Decrypter, options receiver.Options) func(ctx context.Context, dir, scratch string) (*receiver.Export, error) {
	return func(ctx context.Context, dir, scratch string) (*receiver.Export, error) {
		bar := s.newBar("applying", 0)
		options := options
		options.Progress = bar.set
		e, err := receiver.Open(ctx, dir, cert, key, scratch, options)
		bar.end(err)
		return e, err
	}
}

// applied reports a run that was applied.
func (s *session) applied(a mirror.Applied) {
	if s.json {
		return
	}
	what := ""
	if a.Whole {
		what = ", all there is"
	}
	s.print("run %d (%s): %s, %s%s\n", a.Number, a.ExportID, schemas.Counted(a.Rows, "row"), schemas.Counted(a.Removed, "removal"), what)
}

// copying gives what went wrong with a copy its exit code, and says the way out.
func copying(err error) error {
	var changed *mirror.ChangedError
	var link *mirror.LinkError
	var behind *mirror.BehindError
	var format *mirror.FormatError
	var notProven *receiver.UnprovenError
	switch {
	case errors.As(err, &notProven):
		return unproven(err)
	case errors.As(err, &behind), errors.As(err, &link):
		return refused(err)
	case errors.As(err, &changed):
		return refused(withHint(err, "remove the copy and sync again, or start the chain over with `cdds job restart-chain`"))
	case errors.As(err, &format):
		return refused(withHint(err, "use a cdds at least as new as the one that wrote it"))
	case errors.Is(err, mirror.ErrInUse):
		return refused(err)
	}
	return err
}

// feed is where runs come from.
func (s *session) feed(ctx context.Context, f syncFlags) (mirror.Feed, error) {
	if f.from != "" {
		return &mirror.Folder{Dir: f.from, JobID: f.job}, nil
	}
	c, err := s.remote()
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		return nil, usageError{errors.New("--server or --from says where the runs come from; see `cdds sync --help`")}
	case f.job == "":
		return nil, usageError{errors.New("--job says what to follow; `cdds job list` lists jobs")}
	}
	if f.tenant == "" {
		if f.tenant, err = s.defaultTenant(ctx); err != nil {
			return nil, err
		}
	}
	return &remoteFeed{s, c, f.tenant, f.job}, nil
}

// remoteFeed is the chain of a job on a server.
type remoteFeed struct {
	s           *session
	c           *client.Client
	tenant, job string
}

func (r *remoteFeed) Runs(ctx context.Context, after int) (schemas.ChainRuns, error) {
	runs, err := r.c.Chain(ctx, r.tenant, r.job, after, 0)
	return runs, answered(err)
}

func (r *remoteFeed) Fetch(ctx context.Context, run schemas.ChainRun, dir string) (string, error) {
	var fetched storedExport
	err := storedThere(ctx, r.c, r.tenant, run.ExportID, func(e storedExport) error { fetched = e; return nil })
	if err != nil {
		return dir, answered(err)
	}
	return dir, r.s.download(ctx, fetched, dir)
}

func (r *remoteFeed) Acknowledge(ctx context.Context, p mirror.Position) error {
	return answered(r.c.AcknowledgeChain(ctx, r.tenant, r.job, p.Number, p.ExportID))
}

// copyPlace is where a copy is.
type copyPlace struct {
	files, work string
	open        func(context.Context) (mirror.Destination, error)
}

// beside is a place beside a file or a directory.
func beside(path, suffix string) string {
	return filepath.Join(filepath.Dir(path), filepath.Base(path)+suffix)
}

func orElse(given, otherwise string) string {
	if given != "" {
		return given
	}
	return otherwise
}

// place fills in where what is not given is, as a directory beside the copy.
func (f syncFlags) place(at string, open func(context.Context) (mirror.Destination, error)) copyPlace {
	return copyPlace{files: orElse(f.files, beside(at, ".files")), work: orElse(f.work, beside(at, ".work")), open: open}
}

var errTo = fmt.Errorf("--to says where the copy is: sqlite:FILE, postgres://..., parquet:DIR or jsonl:DIR")
