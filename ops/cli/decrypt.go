package cli

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"cdds/ops/shell"
	"cdds/pipeline/receiver"
	"cdds/pipeline/smime"
)

// decryptFlags are the flags of `decrypt`.
type decryptFlags struct {
	cert, key, out string
	signers        []string
}

func newDecrypt(s *session) *cobra.Command {
	var f decryptFlags
	cmd := &cobra.Command{
		Use:   "decrypt DIR",
		Short: "Verify a downloaded export and write its JSON Lines",
		Long: `Verify a directory as ` + "`cdds verify`" + ` does, and only if it is whole and unchanged write
the JSON Lines of every part into --out, one file for each part, readable by you alone.
Attachments come into a directory for each of their parts, beside the index that says
which interaction each belongs to.
Each zip and each file is held to the manifest before it gets its name.

Files of an earlier run of the same export are kept, so an interrupted one can be
repeated. A file of another export is never overwritten.

` + exitCodes,
		Example: examples(
			"cdds decrypt history --cert cert.pem --key key.pem --out plain --signer service.pem",
			"cdds decrypt history --cert cert.pem --key key.pem --out plain --json"),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := pins(f.signers)
			if err != nil {
				return err
			}
			cert, key, err := f.pair()
			if err != nil {
				return err
			}
			bar := s.newBar("decrypting", 0)
			options.Progress = bar.set
			report, err := receiver.Decrypt(cmd.Context(), args[0], cert, key, f.out, options)
			bar.end(err)
			return s.received(receipt(args[0], report, err), err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.cert, "cert", "", "`file` with the certificate the export is sealed for, PEM or DER (required)")
	flags.StringVar(&f.key, "key", "", "`file` with its RSA private key, PEM or DER, unencrypted (required)")
	flags.StringVar(&f.out, "out", "", "`directory` to write to; made if it is not there (required)")
	signerFlag(cmd, &f.signers)
	return cmd
}

// pair reads the certificate and key. Of several certificates the key's own counts.
func (f decryptFlags) pair() (*x509.Certificate, crypto.Decrypter, error) {
	if f.cert == "" || f.key == "" || f.out == "" {
		return nil, nil, usageError{errors.New("--cert, --key and --out are required; see `cdds decrypt --help`")}
	}
	certs, err := readCertificates(f.cert)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--cert %s: %w", f.cert, err)}
	}
	key, err := readKey(f.key)
	if err != nil {
		return nil, nil, fmt.Errorf("--key %s: %w", f.key, err)
	}
	for _, cert := range certs {
		if key.PublicKey.Equal(cert.PublicKey) {
			return cert, key, nil
		}
	}
	return nil, nil, refused(withHint(smime.ErrKeyMismatch, "give the --key that was made together with --cert"))
}

// maxKeyFile bounds a key file in bytes.
const maxKeyFile = 1 << 20

// readKey reads an RSA private key: PKCS#8 or PKCS#1, in PEM or DER. No error says
// anything of what the file holds.
func readKey(file string) (*rsa.PrivateKey, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, usageError{err}
	}
	if info.Size() > maxKeyFile {
		return nil, usageError{errors.New("too large to be a private key")}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError{err}
	}
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, withHint(usageError{errors.New("the key is encrypted with a passphrase, which cdds does not ask for")},
				"write it out for the time being: openssl pkey -in "+shell.Quote(file)+" -out plain.pem",
				"or decrypt with openssl: openssl cms -decrypt -in FILE.p7m -recip CERT -inkey KEY -out FILE.zip")
		}
		if block.Type == "PRIVATE KEY" || block.Type == "RSA PRIVATE KEY" {
			content = block.Bytes
			break
		}
	}
	if key, err := x509.ParsePKCS1PrivateKey(content); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(content)
	if key, ok := parsed.(*rsa.PrivateKey); ok && err == nil {
		return key, nil
	}
	return nil, usageError{errors.New("not an RSA private key in PEM or DER")}
}
