package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/shell"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// keygenFlags are the flags of `keygen`.
type keygenFlags struct {
	outCert, outKey, commonName string
	days, bits                  int
	service, force, keep        bool
}

func newKeygen(s *session) *cobra.Command {
	var f keygenFlags
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key pair to receive exports with",
		Long: `Make an RSA key and a self-signed certificate for it, on this machine. Give the
certificate to the administrator who exports. Only the key opens files that are sealed for the
certificate: keep it where nobody else can read it (it is written with mode 0600, unencrypted).

With --service the pair is the one a CDDS service signs its manifests with; give
receivers its fingerprint to pin.

The openssl commands that do the same are printed: nothing here depends on cdds.

` + exitCodes,
		Example: examples(
			"cdds keygen",
			`cdds keygen --common-name "Acme history"`,
			`cdds keygen --common-name "Acme history" --out-cert acme.pem --out-key acme.key --days 365 --bits 4096`,
			`cdds keygen --common-name "CDDS manifests" --service --out-cert service.pem --out-key service.key`),
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return s.keygen(f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.commonName, "common-name", "CDDS receiver", "`name` in the certificate, 1 to 64 characters")
	flags.StringVar(&f.outCert, "out-cert", "cert.pem", "`file` to write the certificate to")
	flags.StringVar(&f.outKey, "out-key", "key.pem", "`file` to write the private key to")
	flags.IntVar(&f.days, "days", 730, "how many `days` the certificate is valid")
	flags.IntVar(&f.bits, "bits", 3072, "size of the key in `bits`")
	flags.BoolVar(&f.service, "service", false, "make a pair that signs manifests, not one that receives exports")
	flags.BoolVar(&f.force, "force", false, "overwrite files that are there: what is sealed for a lost key stays sealed")
	flags.BoolVar(&f.keep, "keep", false, "leave a pair that is there as it is, and succeed")
	return cmd
}

// keyPair is what keygen made, for scripts.
type keyPair struct {
	Certificate string    `json:"certificate"`
	Key         string    `json:"key"`
	Fingerprint string    `json:"fingerprint"`
	Subject     string    `json:"subject"`
	NotAfter    time.Time `json:"not_after"`
	Bits        int       `json:"bits"`
	Purpose     string    `json:"purpose"`
}

func (s *session) keygen(f keygenFlags) error {
	switch {
	case f.days < 1 || f.days > 100*365:
		return usageError{fmt.Errorf("--days %d: choose 1 to 36500", f.days)}
	case f.outCert == f.outKey:
		return usageError{errors.New("--out-cert and --out-key must be two files: the certificate is to be given away, the key is not")}
	}
	if f.keep {
		_, err := tls.LoadX509KeyPair(f.outCert, f.outKey)
		if err == nil {
			s.say("%s and its key are there already", f.outCert)
			return s.result(map[string]string{"certificate": f.outCert, "key": f.outKey}, func() {})
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if !f.force {
		for _, path := range []string{f.outKey, f.outCert} {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				return exists(path)
			}
		}
	}
	options := smime.KeyOptions{CommonName: f.commonName, Bits: f.bits, Validity: time.Duration(f.days) * 24 * time.Hour}
	purpose := "recipient"
	if f.service {
		options.Purpose, purpose = smime.Signer, "service"
	}
	certPEM, keyPEM, err := smime.GenerateKeyPair(options)
	if err != nil {
		return usageError{err}
	}
	if err := errors.Join(writeNew(f.outKey, keyPEM, 0o600, f.force), writeNew(f.outCert, certPEM, 0o644, f.force)); err != nil {
		return err
	}
	certs, err := smime.ParseRecipients(certPEM)
	if err != nil {
		return err
	}
	cert := certs[0]
	made := keyPair{f.outCert, f.outKey, smime.Fingerprint(cert), schemas.NameText(cert.Subject), cert.NotAfter.UTC(), f.bits, purpose}
	return s.result(made, func() {
		s.table([][]string{
			{"Certificate", made.Certificate, "give this away"},
			{"Private key", made.Key, "keep this secret: with it, somebody else can act as you"},
			{"SHA-256", made.Fingerprint},
			{"Valid until", made.NotAfter.Format(time.DateOnly)},
		})
		s.print("\nThe same with openssl:\n  %s\n  openssl x509 -in %s -noout -fingerprint -sha256\n", f.openssl(), shell.Quote(f.outCert))
	})
}

// openssl is the command line that makes such a pair.
func (f keygenFlags) openssl() string {
	usage := "keyEncipherment"
	if f.service {
		usage = "digitalSignature"
	}
	name := strings.NewReplacer(`\`, `\\`, `/`, `\/`, `+`, `\+`).Replace(f.commonName)
	return fmt.Sprintf("openssl req -x509 -newkey rsa:%d -nodes -sha256 -utf8 -days %d -subj %s -addext keyUsage=critical,%s -addext extendedKeyUsage=emailProtection -keyout %s -out %s",
		f.bits, f.days, shell.Quote("/CN="+name), usage, shell.Quote(f.outKey), shell.Quote(f.outCert))
}

// writeNew writes a file that is not there yet, or with force replaces it, whatever
// its mode was. It is complete or not there.
func writeNew(path string, content []byte, mode os.FileMode, force bool) error {
	if force {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return exists(path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func exists(path string) error {
	return refused(withHint(fmt.Errorf("%s is there already", path),
		"choose other names with --out-cert and --out-key",
		"or --force to overwrite it: what is sealed for a lost key stays sealed for ever"))
}
