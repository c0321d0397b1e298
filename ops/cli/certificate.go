//go:build !receiver

package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/admin"
	"cdds/ops/shell"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

func newCertificate(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certificate",
		Short: "Register and rotate the certificates exports are sealed for",
		Long: `Register, list, rotate and remove the certificates that a tenant's exports are sealed for.
Jobs and export requests name one by its SHA-256 fingerprint.

Register certificates only. The private key stays with the receiver: no command
asks for it, and a file that holds one is refused and never sent.

` + exitCodes,
		Example: examples(
			"cdds keygen                                                  # the receiver makes a pair",
			"cdds certificate add cert.pem --tenant acme --name \"Acme history\"",
			"cdds certificate list --tenant acme",
			"cdds certificate rotate 9f86d081884c new.pem --tenant acme   # jobs use the new one from now on"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCertificateAdd(s), newCertificateList(s), newCertificateShow(s), newCertificateSample(s), newCertificateRotate(s), newCertificateRemove(s))
	return cmd
}

func newCertificateAdd(s *session) *cobra.Command {
	var tenant, name string
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Register a certificate of a tenant",
		Long: `Register the certificate in FILE (PEM or DER). It must hold an RSA key of at least 2048
bits, be valid now and, if it states its key usage, allow keyEncipherment.

` + exitCodes,
		Example: examples(`cdds certificate add cert.pem --tenant acme --name "Acme history"`),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cert, err := oneRecipient(args[0])
			if err != nil {
				return err
			}
			return s.withRegistry(cmd.Context(), func(r registry) error {
				c, err := r.register(cmd.Context(), tenant, name, cert)
				if err != nil {
					return err
				}
				return s.result(c, func() {
					s.print("registered for tenant %s, valid until %s\n%s\n", tenant, c.NotAfter.Format(time.DateOnly), c.Fingerprint)
				})
			})
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().StringVar(&name, "name", "", "`name` that people see")
	return cmd
}

// oneRecipient reads the one certificate in a file and judges it.
func oneRecipient(file string) (*x509.Certificate, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError{err}
	}
	certs, err := smime.ParseRecipients(content)
	if errors.Is(err, smime.ErrPrivateKey) {
		return nil, refused(fmt.Errorf("%s: %w", file, err))
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", file, err)}
	}
	if len(certs) != 1 {
		return nil, usageError{fmt.Errorf("%s holds %s; give the receiver's own, without its issuers", file, schemas.Counted(len(certs), "certificate"))}
	}
	if err := smime.CheckRecipient(certs[0], time.Now()); err != nil {
		return nil, refused(fmt.Errorf("%s: %w", file, err))
	}
	return certs[0], nil
}

func newCertificateList(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List a tenant's certificates, the latest first",
		Long:    "List a tenant's certificates, the latest first, with the jobs that use them.\n\n" + exitCodes,
		Example: examples("cdds certificate list --tenant acme", "cdds certificate list --tenant acme --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				all, err := r.certificates(cmd.Context(), tenant)
				if err != nil {
					return err
				}
				used, err := usedBy(cmd.Context(), r, tenant)
				if err != nil {
					return err
				}
				rows := [][]string{{"FINGERPRINT", "NAME", "SUBJECT", "EXPIRES", "STATE", "JOBS"}}
				for _, c := range all {
					rows = append(rows, []string{c.Fingerprint[:16], c.Name, c.Subject, daysLeft(c.NotAfter.Time), standing(c), strings.Join(used[c.Fingerprint], ", ")})
				}
				return s.list(map[string]any{"tenant_id": tenant, "certificates": all}, rows,
					fmt.Sprintf("tenant %s has no certificates; `cdds certificate add --help` says how to register one", tenant))
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return lists(cmd)
}

// standing says in a word whether a certificate is used.
func standing(c schemas.Certificate) string {
	switch {
	case c.Removed:
		return "removed"
	case c.ReplacedBy != "":
		return "replaced by " + c.ReplacedBy[:16]
	}
	cert, err := c.X509()
	if err == nil {
		err = smime.CheckRecipient(cert, time.Now())
	}
	if rule := (*smime.RecipientError)(nil); errors.As(err, &rule) {
		return string(rule.Rule)
	}
	return "active"
}

func newCertificateShow(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:     "show FINGERPRINT",
		Short:   "Show a certificate and what it is used by",
		Long:    "Show a certificate, in PEM too. The beginning of the fingerprint is enough.\n\n" + exitCodes,
		Example: examples("cdds certificate show 9f86d081884c --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				c, err := findCertificate(cmd.Context(), r, tenant, args[0])
				if err != nil {
					return err
				}
				used, err := usedBy(cmd.Context(), r, tenant)
				if err != nil {
					return err
				}
				return s.result(c, func() {
					s.table([][]string{
						{"SHA-256", c.Fingerprint}, {"name", c.Name}, {"subject", c.Subject}, {"issuer", c.Issuer}, {"serial", c.Serial},
						{"key", fmt.Sprintf("RSA %d", c.KeyBits)}, {"key usage", strings.Join(c.KeyUsage, ", ")},
						{"valid", c.NotBefore.Format(time.DateOnly) + " to " + c.NotAfter.Format(time.DateOnly)}, {"state", standing(c)},
						{"added", c.AddedAt.String() + " by " + c.AddedBy}, {"jobs", strings.Join(used[c.Fingerprint], ", ")},
					})
					fmt.Fprint(s.out, "\n"+c.PEM)
				})
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}

func newCertificateRotate(s *session) *cobra.Command {
	var tenant, name string
	cmd := &cobra.Command{
		Use:   "rotate FINGERPRINT FILE",
		Short: "Replace a certificate by the one in FILE",
		Long: `Register the certificate in FILE and use it wherever the old one is named, from the
next export on: you need not change the jobs. Earlier exports stay sealed for the old one;
the receiver needs its key to open them.

` + exitCodes,
		Example: examples("cdds certificate rotate 9f86d081884c new.pem --tenant acme"),
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cert, err := oneRecipient(args[1])
			if err != nil {
				return err
			}
			return s.withRegistry(cmd.Context(), func(r registry) error {
				old, err := findCertificate(cmd.Context(), r, tenant, args[0])
				if err != nil {
					return err
				}
				if old.Fingerprint == smime.Fingerprint(cert) {
					return usageError{errSameCertificate}
				}
				if name == "" {
					name = old.Name
				}
				c, err := r.replace(cmd.Context(), old, name, cert)
				if err != nil {
					return err
				}
				old.ReplacedBy = c.Fingerprint
				return s.result(old, func() {
					s.print("%s\nis used from now on where this was named:\n%s\n", c.Fingerprint, old.Fingerprint)
				})
			})
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().StringVar(&name, "name", "", "`name` that people see (default: the name of the old one)")
	return cmd
}

func newCertificateRemove(s *session) *cobra.Command {
	var tenant string
	var force bool
	cmd := &cobra.Command{
		Use:   "remove FINGERPRINT",
		Short: "Seal nothing for a certificate any more",
		Long: `Remove a certificate: new exports are no longer sealed for it, and running exports fail
at their next attempt. Completed exports stay. If jobs name the certificate, --force is
required, and their runs are refused. To replace a certificate, rotate it.

` + exitCodes,
		Example: examples("cdds certificate remove 9f86d081884c --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				old, err := findCertificate(cmd.Context(), r, tenant, args[0])
				if err != nil {
					return err
				}
				used, err := usedBy(cmd.Context(), r, tenant)
				if err != nil {
					return err
				}
				if jobs := used[old.Fingerprint]; len(jobs) > 0 && !force {
					return refused(withHint(fmt.Errorf("certificate %s is named by jobs %s", old.Fingerprint[:16], strings.Join(jobs, ", ")),
						"`cdds certificate rotate` replaces it by another", "or --force to remove it all the same; a server refuses while active jobs name it"))
				}
				if err := r.remove(cmd.Context(), old); err != nil {
					return err
				}
				old.Removed = true
				return s.result(old, func() { s.print("removed %s\n", old.Fingerprint) })
			})
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().BoolVar(&force, "force", false, "also if jobs name it")
	return cmd
}

func newCertificateSample(s *session) *cobra.Command {
	var tenant, out, cipher, keyTransport string
	cmd := &cobra.Command{
		Use:   "sample FINGERPRINT",
		Short: "Write a small file sealed for a certificate, to try the private key with",
		Long: `Write a small S/MIME message, sealed for a registered certificate as exports are.
The owner of the private key can open it:

  openssl cms -decrypt -in cdds-sample.p7m -recip cert.pem -inkey key.pem

` + exitCodes,
		Example: examples("cdds certificate sample 9f86d081884c --tenant acme --out cdds-sample.p7m"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				c, err := findCertificate(cmd.Context(), r, tenant, args[0])
				if err != nil {
					return err
				}
				sample, err := sampleOf(cmd.Context(), r, c, cipher, keyTransport)
				if err != nil {
					return err
				}
				if err := os.WriteFile(out, sample, 0o600); err != nil {
					return err
				}
				return s.result(map[string]any{"fingerprint": c.Fingerprint, "file": out}, func() {
					s.print("wrote %s; to open it:\n%s\n", out, shell.Command("openssl", "cms", "-decrypt", "-in", out, "-recip", "cert.pem", "-inkey", "key.pem"))
				})
			})
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().StringVar(&out, "out", admin.SampleName, "`file` to write")
	cmd.Flags().StringVar(&cipher, "cipher", schemas.CipherCBC, "`cipher`: aes-256-cbc or aes-256-gcm")
	cmd.Flags().StringVar(&keyTransport, "key-transport", schemas.KeyTransportPKCS1, "`scheme`: rsa-pkcs1v15 or rsa-oaep")
	return cmd
}

// sampleOf has the server make the sample, or makes it here.
func sampleOf(ctx context.Context, r registry, c schemas.Certificate, cipher, keyTransport string) ([]byte, error) {
	if !slices.Contains(schemas.Ciphers(), cipher) || !slices.Contains(schemas.KeyTransports(), keyTransport) {
		return nil, usageError{fmt.Errorf("--cipher is one of %v, --key-transport one of %v", schemas.Ciphers(), schemas.KeyTransports())}
	}
	if there, ok := r.(far); ok {
		return there.Sample(ctx, c.TenantID, c.Fingerprint, cipher, keyTransport)
	}
	cert, err := c.X509()
	if err != nil {
		return nil, err
	}
	return admin.SealSample(cert, cipher, keyTransport)
}
