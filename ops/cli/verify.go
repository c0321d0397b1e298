package cli

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cdds/pipeline/receiver"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

func newVerify(s *session) *cobra.Command {
	var f pinFlags
	cmd := &cobra.Command{
		Use:   "verify DIR...",
		Short: "Prove that a downloaded export is whole and unchanged",
		Long: `Prove that a directory holds exactly the export its signed manifest describes: the
signature of manifest.json holds, and every part is there with the size and SHA-256 it
states, with no other *.p7m beside them. The command reports every error, not just the
first, and needs no private key.

A signature proves that the export has not changed since it was signed. Only --signer proves who
signed it: name the certificate of the sender's service, or its SHA-256 fingerprint,
which you should receive over another channel than the export.

With several directories, the command verifies each one, and then all of them as runs of one chain: of one job,
without repetition or gap, each naming the manifest of the previous run. Only the first
may continue a run that is missing here.

A valid export may still not be the one you expect. --tenant, --export, --job,
--run and --after say what you expect; every difference is an error.

` + exitCodes,
		Example: examples(
			"cdds verify history --signer service.pem",
			"cdds verify history --signer 5A:0C:...:9E",
			"cdds verify history --signer service.pem --tenant acme --export 01JD9Z3Q6W",
			"cdds verify run-8 --signer service.pem --job nightly --run 8 --after run-7",
			"cdds verify run-6 run-7 run-8 --signer service.pem --job nightly",
			"cdds verify history --json"),
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := f.options(cmd)
			if err != nil {
				return err
			}
			if len(args) > 1 {
				return s.verifyChain(cmd.Context(), args, options)
			}
			report, err := s.verify(cmd.Context(), args[0], options)
			return s.received(receipt(args[0], report, err), err)
		},
	}
	f.add(cmd)
	return cmd
}

// verify is receiver.Verify with its progress.
func (s *session) verify(ctx context.Context, dir string, options receiver.Options) (receiver.Report, error) {
	bar := s.newBar("verifying", 0)
	options.Progress = bar.set
	report, err := receiver.Verify(ctx, dir, options)
	bar.end(err)
	return report, err
}

// receivedChain is what scripts read about several exports that were received.
type receivedChain struct {
	Verified bool             `json:"verified"`
	Exports  []receivedExport `json:"exports"`
	// Violations are those of the chain; each export has its own.
	Violations []violation `json:"violations,omitempty"`
}

// verifyChain verifies several directories, and then what links them.
func (s *session) verifyChain(ctx context.Context, dirs []string, options receiver.Options) error {
	var all receivedChain
	var runs []receiver.Run
	var failed error
	for _, dir := range dirs {
		report, err := s.verify(ctx, dir, options)
		if unproven := (*receiver.UnprovenError)(nil); err != nil && !errors.As(err, &unproven) {
			return s.received(receivedExport{Dir: dir}, err)
		}
		failed = cmp.Or(failed, err)
		all.Exports = append(all.Exports, receipt(dir, report, err))
		runs = append(runs, receiver.Run{Name: dir, Report: report})
	}
	if failed == nil {
		failed = receiver.VerifyChain(runs)
		all.Violations = receipt("", receiver.Report{}, failed).Violations
	}
	all.Verified = failed == nil
	told := s.result(all, func() { s.table(all.rows(runs)) })
	if failed == nil {
		return told
	}
	hints := map[string]bool{}
	for _, v := range all.violations() {
		hints[v.Hint] = true
	}
	return errors.Join(told, jsonTold{unproven(withHint(failed, slices.Sorted(maps.Keys(hints))...))})
}

// violations are those of the exports, with their directories, and of the chain.
func (c receivedChain) violations() (all []violation) {
	for _, x := range c.Exports {
		for _, v := range x.Violations {
			v.File = filepath.Join(x.Dir, v.File)
			all = append(all, v)
		}
	}
	return append(all, c.Violations...)
}

func (c receivedChain) rows(runs []receiver.Run) [][]string {
	if !c.Verified {
		return receivedExport{Violations: c.violations()}.violationRows()
	}
	rows := [][]string{{"RUN", "EXPORT", "DIRECTORY", "CONTINUES", "ROWS", "REMOVED", "SIGNER"}}
	for _, r := range runs {
		m := r.Report.Manifest
		signer := "the one you named"
		if !r.Report.Pinned {
			signer = "NOT PINNED: " + smime.Fingerprint(r.Report.Signer)
		}
		rows = append(rows, []string{strconv.Itoa(m.Chain.Number), m.ExportID, r.Name, orElse(m.Chain.PreviousExportID, "nothing: it holds everything"),
			schemas.Grouped(m.Totals.Rows), schemas.Grouped(m.Totals.Removed), signer})
	}
	return rows
}

var fingerprintPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// pins reads --signer. A fingerprint may be written as openssl prints it.
func pins(signers []string) (receiver.Options, error) {
	var o receiver.Options
	for _, signer := range signers {
		if fingerprint := strings.ToLower(strings.ReplaceAll(signer, ":", "")); fingerprintPattern.MatchString(fingerprint) {
			o.Fingerprints = append(o.Fingerprints, fingerprint)
			continue
		}
		certs, err := readCertificates(signer)
		if err != nil {
			return o, usageError{fmt.Errorf("--signer %s: %w", signer, err)}
		}
		o.Signers = append(o.Signers, certs...)
	}
	return o, nil
}

// receivedExport is what scripts read about an export that was received.
type receivedExport struct {
	Dir      string `json:"dir"`
	Verified bool   `json:"verified"`
	// What the manifest says, once its signature holds.
	TenantID string           `json:"tenant_id,omitempty"`
	ExportID string           `json:"export_id,omitempty"`
	Filter   *schemas.Filter  `json:"filter,omitempty"`
	Topic    schemas.Topic    `json:"topic,omitempty"`
	Snapshot schemas.Snapshot `json:"snapshot,omitempty"`
	// WrittenOff are records that were lost for good before the export was made.
	WrittenOff    []schemas.WrittenOff   `json:"written_off,omitempty"`
	FieldPolicy   *schemas.AppliedPolicy `json:"field_policy,omitempty"`
	Names         string                 `json:"names,omitempty"`
	HistoryFrom   *schemas.Time          `json:"history_from,omitempty"`
	Totals        *schemas.Totals        `json:"totals,omitempty"`
	VerifiedParts int                    `json:"verified_parts"`
	Signer        *signer                `json:"signer,omitempty"`
	Violations    []violation            `json:"violations,omitempty"`
	// Omitted counts violations past those listed.
	Omitted int `json:"violations_omitted,omitempty"`
	// Written and Kept come with decrypt.
	Written *receiver.Files `json:"written,omitzero"`
	Kept    *receiver.Files `json:"kept,omitzero"`
	// Pages is the HTML page to begin with, if pages were asked for.
	Pages string `json:"pages,omitempty"`
}

type signer struct {
	Fingerprint string `json:"fingerprint"`
	Subject     string `json:"subject"`
	Pinned      bool   `json:"pinned"`
}

type violation struct {
	File   string        `json:"file"`
	Rule   receiver.Rule `json:"rule"`
	Detail string        `json:"detail"`
	Hint   string        `json:"hint"`
}

func receipt(dir string, r receiver.Report, err error) receivedExport {
	x := receivedExport{Dir: dir, Verified: err == nil, VerifiedParts: r.Verified, Written: r.Written, Kept: r.Kept}
	if m := r.Manifest; m != nil {
		x.TenantID, x.ExportID, x.Topic, x.Snapshot = m.TenantID, m.ExportID, m.Topic, m.Snapshot
		x.Filter, x.Totals, x.WrittenOff = &m.Filter, &m.Totals, m.WrittenOff
		x.HistoryFrom, x.FieldPolicy, x.Names = m.HistoryFrom, m.FieldPolicy, m.Names
	}
	if r.Signer != nil {
		x.Signer = &signer{smime.Fingerprint(r.Signer), schemas.NameText(r.Signer.Subject), r.Pinned}
	}
	var unproven *receiver.UnprovenError
	if errors.As(err, &unproven) {
		x.Omitted = unproven.Omitted
		for _, v := range unproven.Violations {
			x.Violations = append(x.Violations, violation{v.File, v.Rule, v.Detail, v.Rule.Hint()})
		}
	}
	return x
}

// received reports what was found, and turns failures into an exit code.
func (s *session) received(x receivedExport, err error) error {
	var notProven *receiver.UnprovenError
	switch {
	case err == nil:
		return s.result(x, func() { s.table(x.rows()) })
	case errors.As(err, &notProven):
		var hints []string
		for _, v := range x.Violations {
			if !slices.Contains(hints, v.Hint) {
				hints = append(hints, v.Hint)
			}
		}
		told := s.result(x, func() { s.table(x.violationRows()) })
		return errors.Join(told, jsonTold{unproven(withHint(err, hints...))})
	case errors.Is(err, fs.ErrNotExist):
		return refused(err)
	case errors.Is(err, smime.ErrNotRecipient):
		return refused(withHint(err, "decrypt with the certificate and key the export was made for", "or request a new export for this certificate"))
	case errors.Is(err, receiver.ErrOutputExists):
		return refused(err)
	}
	return err
}

func (x receivedExport) rows() [][]string {
	parts := fmt.Sprintf("%s, %s, all there and unchanged", schemas.Counted(x.Totals.Parts, "part"), size(x.Totals.SealedBytes))
	signedBy := x.Signer.Subject + ", SHA-256 " + x.Signer.Fingerprint
	trust := "the signer is the one you named"
	if !x.Signer.Pinned {
		trust = "NOT PINNED: compare the fingerprint with one from the sender, and give it as --signer"
	}
	var offsets []string
	for _, offset := range x.Snapshot {
		offsets = append(offsets, strconv.FormatInt(offset, 10))
	}
	rows := [][]string{
		{"Export", x.ExportID + " of tenant " + x.TenantID},
		{"Holds", schemas.Counted(x.Totals.Rows, x.Filter.Entity) + ", " + x.Filter.From.String() + " to " + x.Filter.To.String()},
		{"Attachments", attachmentCount(*x.Totals)},
		{"Complete", fmt.Sprintf("as of offsets [%s] of %s", strings.Join(offsets, " "), x.Topic)},
		{"Parts", parts},
		{"Signed by", signedBy},
		{"", trust},
	}
	if x.HistoryFrom != nil {
		rows = append(rows, []string{"Kept from", x.HistoryFrom.String() + "; what is older is kept no longer and was left out"})
	}
	if p := x.FieldPolicy; p != nil {
		rows = append(rows, []string{"Hidden", p.Text()})
		if p.KeyID != "" {
			rows = append(rows, []string{"", "pseudonyms are made with the key " + p.KeyID})
		}
	}
	if x.Names != "" {
		rows = append(rows, []string{"Names", "those of " + x.Names + " next to ours"})
	}
	for _, w := range x.WrittenOff {
		rows = append(rows, []string{"Written off", fmt.Sprintf("%s of the topic, lost for good and written off on %s: %s", schemas.Counted(w.Records, "record"), w.At, w.Reason)})
	}
	if x.Totals.Attachments == 0 {
		rows = slices.DeleteFunc(rows, func(row []string) bool { return row[0] == "Attachments" })
	}
	if n := x.Written.Len() + x.Kept.Len(); n > 0 {
		rows = append(rows, []string{"Written", fmt.Sprintf("%s of JSON Lines, %s", schemas.Counted(x.Written.Len(), "file"), size(x.Totals.JSONLBytes))})
	}
	if x.Kept.Len() > 0 {
		rows = append(rows, []string{"Kept", schemas.Counted(x.Kept.Len(), "file") + " from an earlier run"})
	}
	if x.Pages != "" {
		rows = append(rows, []string{"Pages", x.Pages + ": open it in a browser"})
	}
	return rows
}

func (x receivedExport) violationRows() [][]string {
	rows := [][]string{{"FILE", "RULE", "WHAT IS WRONG"}}
	for _, v := range x.Violations {
		rows = append(rows, []string{v.File, string(v.Rule), v.Detail})
	}
	if x.Omitted > 0 {
		rows = append(rows, []string{fmt.Sprintf("and %s more", schemas.Grouped(x.Omitted))})
	}
	return rows
}

// readCertificates reads the certificates of a PEM or DER file.
func readCertificates(file string) ([]*x509.Certificate, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return smime.ParseRecipients(content)
}

// attachmentCount tells problems too: an export with some is complete, but not quietly.
func attachmentCount(t schemas.Totals) string {
	if t.AttachmentProblems > 0 {
		return fmt.Sprintf("%s, %s missing", schemas.Grouped(t.Attachments), schemas.Grouped(t.AttachmentProblems))
	}
	return schemas.Grouped(t.Attachments)
}
