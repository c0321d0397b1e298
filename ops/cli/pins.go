package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// pinFlags say who may have signed an export, and which it must be.
type pinFlags struct {
	signers                    []string
	tenant, export, job, after pin
	run                        int
}

// pin is a flag that says what must be: empty, it would be dropped without a word.
type pin string

func (p *pin) String() string { return string(*p) }
func (p *pin) Type() string   { return "string" }

// Set takes the value.
func (p *pin) Set(value string) error {
	if value == "" {
		return errors.New("it is empty; give it a value, or leave it out")
	}
	*p = pin(value)
	return nil
}

func (f *pinFlags) add(cmd *cobra.Command) {
	signerFlag(cmd, &f.signers)
	flags := cmd.Flags()
	flags.Var(&f.tenant, "tenant", "`id` of the tenant whose export it must be")
	flags.Var(&f.export, "export", "`id` that the export must have")
	flags.Var(&f.job, "job", "`id` of the job of whose chain it must be a run")
	flags.IntVar(&f.run, "run", 0, "`number` that the run must have in its chain, from 1")
	flags.Var(&f.after, "after", "the run that it must continue: its directory, its manifest `file`, or the SHA-256 of that")
}

func signerFlag(cmd *cobra.Command, signers *[]string) {
	cmd.Flags().StringSliceVar(signers, "signer", nil, "certificate `file` or SHA-256 fingerprint of who may have signed; repeatable")
}

// options reads the flags.
func (f *pinFlags) options(cmd *cobra.Command) (receiver.Options, error) {
	o, err := pins(f.signers)
	if err != nil {
		return o, err
	}
	if cmd.Flags().Changed("run") && f.run < 1 {
		return o, usageError{fmt.Errorf("--run %d: runs are counted from 1", f.run)}
	}
	o.Expected = receiver.Expected{TenantID: string(f.tenant), ExportID: string(f.export), JobID: string(f.job), Number: f.run}
	o.Expected.After, err = manifestDigest(string(f.after))
	return o, err
}

// manifestDigest is the SHA-256 of a manifest that --after names.
func manifestDigest(named string) (string, error) {
	if digest := strings.ToLower(named); named == "" || fingerprintPattern.MatchString(digest) {
		return digest, nil
	}
	if info, err := os.Stat(named); err == nil && info.IsDir() {
		named = filepath.Join(named, schemas.ManifestName)
	}
	var sum string
	content, err := os.Open(named)
	if err == nil {
		defer content.Close()
		_, sum, err = receiver.ReadManifest(content)
	}
	if err != nil {
		return "", usageError{fmt.Errorf("--after %s: %w", named, err)}
	}
	return sum, nil
}
