package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"cdds/pipeline/receiver"
	"cdds/pipeline/receiver/pages"
	"cdds/pipeline/smime"
)

// decryptFlags are the flags of `decrypt`.
type decryptFlags struct {
	cert, key, passphrase, out string
	html                       bool
}

func newDecrypt(s *session) *cobra.Command {
	var f decryptFlags
	var pinned pinFlags
	cmd := &cobra.Command{
		Use:   "decrypt DIR",
		Short: "Verify a downloaded export and write its JSON Lines",
		Long: `Verify a directory as ` + "`cdds verify`" + ` does, and only if it is whole and unchanged write
the JSON Lines of every part into --out, one file for each part, readable by you alone.
Attachments come into a directory for each of their parts, beside the index that says
which interaction each belongs to.
Each zip and each file is held to the manifest before it gets its name.

--key is PEM, DER or PKCS#12 (.p12, .pfx). If the file also holds the certificate, as
PKCS#12 does, --cert is not needed. A passphrase is read from --passphrase-file, or asked
for at the terminal.

Files of an earlier run of the same export are kept, so an interrupted one can be
repeated. A file of another export is never overwritten.

--html also makes pages for people, in the directory html of --out: a list of contacts, and
for each its details, its conversations in the order of time, and links to the attachments.
Open html/index.html in a browser. The pages need no network and run no script, and each
can be printed or handed over alone. They show what --out holds, in plain text: keep them as
carefully.

--tenant, --export, --job, --run and --after say which export you expect; after any difference,
the command writes nothing.

` + exitCodes,
		Example: examples(
			"cdds decrypt history --cert cert.pem --key key.pem --out plain --signer service.pem",
			"cdds decrypt history --key pair.p12 --passphrase-file secret.txt --out plain --signer service.pem",
			"cdds decrypt run-8 --cert cert.pem --key key.pem --out plain --signer service.pem --job nightly --run 8 --after run-7",
			"cdds decrypt access --cert cert.pem --key key.pem --out plain --signer service.pem --html",
			"cdds decrypt history --cert cert.pem --key key.pem --out plain --json"),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := pinned.options(cmd)
			if err != nil {
				return err
			}
			cert, key, err := f.pair(s.passphrase(f.passphrase))
			if err != nil {
				return err
			}
			bar := s.newBar("decrypting", 0)
			options.Progress = bar.set
			report, err := receiver.Decrypt(cmd.Context(), args[0], cert, key, f.out, options)
			bar.end(err)
			x := receipt(args[0], report, err)
			if err == nil && f.html {
				x.Pages, err = s.pages(cmd.Context(), f.out, report)
			}
			return s.received(x, err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.cert, "cert", "", "`file` with the certificate the export is sealed for, PEM or DER; not needed if --key holds it")
	flags.StringVar(&f.key, "key", "", "`file` with its RSA private key: PEM, DER or PKCS#12 (required)")
	flags.StringVar(&f.passphrase, "passphrase-file", "", "`file` whose first line is the passphrase of the key")
	flags.StringVar(&f.out, "out", "", "`directory` to write to; made if it is not there (required)")
	flags.BoolVar(&f.html, "html", false, "also make HTML pages for people, in the directory html of --out")
	pinned.add(cmd)
	return cmd
}

// pages makes pages of a decrypted export. It returns the path of the one to begin with.
func (s *session) pages(ctx context.Context, out string, report receiver.Report) (string, error) {
	bar := s.newBar("making pages", 0)
	made, err := pages.Write(ctx, out, report, pages.Options{Progress: bar.set})
	bar.end(err)
	return made.Index, err
}

// pair reads the certificate and key. Of several certificates the key's own counts.
func (f decryptFlags) pair(passphrase func() (string, error)) (*x509.Certificate, crypto.Decrypter, error) {
	if f.key == "" || f.out == "" {
		return nil, nil, usageError{errors.New("--key and --out are required; see `cdds decrypt --help`")}
	}
	keys, err := readKeys("--key", f.key, passphrase)
	if err != nil {
		return nil, nil, err
	}
	if keys.Key == nil {
		return nil, nil, usageError{fmt.Errorf("--key %s: it holds a certificate and no private key", f.key)}
	}
	certs := keys.Certificates
	switch {
	case f.cert != "" && f.cert != f.key:
		given, err := readKeys("--cert", f.cert, passphrase)
		if err != nil {
			return nil, nil, err
		}
		certs = given.Certificates
	case len(certs) == 0:
		return nil, nil, usageError{fmt.Errorf("--cert is required: %s holds a private key and no certificate", f.key)}
	}
	for _, cert := range certs {
		if keys.Key.PublicKey.Equal(cert.PublicKey) {
			return cert, keys.Key, nil
		}
	}
	return nil, nil, refused(withHint(smime.ErrKeyMismatch, "give the --key that was made together with --cert"))
}

// maxKeyFile bounds a key file in bytes.
const maxKeyFile = 1 << 20

// readKeys reads what a flag names.
func readKeys(flag, file string, passphrase func() (string, error)) (receiver.Keys, error) {
	content, err := readSmall(file)
	if err != nil {
		return receiver.Keys{}, usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	keys, err := receiver.ReadKeys(content, passphrase)
	switch {
	case err == nil:
		return keys, nil
	case codeOf(err) != exitFailure: // of the passphrase
		return keys, err
	}
	return keys, usageError{fmt.Errorf("%s %s: %w", flag, file, err)}
}

// readSmall reads a file that holds a key or a passphrase.
func readSmall(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s is too large to be a key", file)
	}
	return os.ReadFile(file)
}

// passphrase asks for the passphrase of a key once: a file, or whoever sits at the
// terminal.
func (s *session) passphrase(file string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		if file != "" {
			content, err := readSmall(file)
			if err != nil {
				return "", usageError{fmt.Errorf("--passphrase-file: %w", err)}
			}
			line, _, _ := strings.Cut(string(content), "\n")
			return strings.TrimSuffix(line, "\r"), nil
		}
		in, ok := s.in.(*os.File)
		if !ok || !term.IsTerminal(int(in.Fd())) {
			return "", usageError{withHint(errors.New("the key is encrypted with a passphrase"), "give it in a file: --passphrase-file FILE")}
		}
		fmt.Fprint(s.err, "Passphrase of the key: ")
		text, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(s.err)
		return string(text), err
	})
}
