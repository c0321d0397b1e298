package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

func newCertificate(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certificate",
		Short: "Register and rotate the certificates exports are sealed for",
		Long: `Register, list, rotate and remove the certificates a tenant's exports are sealed for.
Jobs and export requests name one by its SHA-256 fingerprint.

Register certificates only. The private key stays with whoever receives: nothing here
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
	cmd.AddCommand(newCertificateAdd(s), newCertificateList(s), newCertificateShow(s), newCertificateRotate(s), newCertificateRemove(s))
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
			return s.withDefinitions(cmd.Context(), func(d *defined) error {
				c, err := d.register(cmd.Context(), tenant, name, cert)
				if err != nil {
					return err
				}
				return s.result(c, func() {
					fmt.Fprintf(s.out, "registered for tenant %s, valid until %s\n%s\n", tenant, c.NotAfter.Format(time.DateOnly), c.Fingerprint)
				})
			})
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().StringVar(&name, "name", "", "what people call it")
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
		return nil, usageError{fmt.Errorf("%s holds %d certificates; give the receiver's own, without its issuers", file, len(certs))}
	}
	if err := smime.CheckRecipient(certs[0], time.Now()); err != nil {
		return nil, refused(fmt.Errorf("%s: %w", file, err))
	}
	return certs[0], nil
}

// register publishes a certificate unless it stands already.
func (d *defined) register(ctx context.Context, tenant, name string, cert *x509.Certificate) (schemas.Certificate, error) {
	c := schemas.NewCertificate(tenant, cert, whoami(), schemas.TimeOf(time.Now()))
	c.Name = name
	var previous *schemas.Certificate
	if known, ok := d.Certificate(tenant, c.Fingerprint); ok {
		if !known.Removed && known.ReplacedBy == "" && (name == "" || name == known.Name) {
			return known, nil
		}
		previous = &known
		c.AddedAt, c.AddedBy = known.AddedAt, known.AddedBy
		if name == "" {
			c.Name = known.Name
		}
	}
	return *c, d.publish(ctx, c, schemas.AuditOfCertificate(c, previous, machine()))
}

// find looks a certificate up by its fingerprint or the beginning of it.
func (d *defined) find(tenant, fingerprint string) (schemas.Certificate, error) {
	fingerprint = strings.ToLower(strings.ReplaceAll(fingerprint, ":", ""))
	var found []schemas.Certificate
	for _, c := range d.Certificates(tenant) {
		if strings.HasPrefix(c.Fingerprint, fingerprint) {
			found = append(found, c)
		}
	}
	hint := "`cdds certificate list --tenant " + tenant + "` lists them"
	switch {
	case len(fingerprint) < 8:
		return schemas.Certificate{}, usageError{fmt.Errorf("fingerprint %q is too short; give at least 8 digits", fingerprint)}
	case len(found) == 0:
		return schemas.Certificate{}, refused(withHint(fmt.Errorf("tenant %s has no certificate %s", tenant, fingerprint), hint))
	case len(found) > 1:
		return schemas.Certificate{}, usageError{withHint(fmt.Errorf("%d certificates begin with %s", len(found), fingerprint), hint)}
	}
	return found[0], nil
}

func newCertificateList(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List a tenant's certificates, the latest first",
		Long:    "List a tenant's certificates, the latest first, with what they are used by.\n\n" + exitCodes,
		Example: examples("cdds certificate list --tenant acme", "cdds certificate list --tenant acme --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withDefinitions(cmd.Context(), func(d *defined) error {
				all := d.Certificates(tenant)
				return s.result(map[string]any{"tenant_id": tenant, "certificates": all}, func() {
					if len(all) == 0 {
						fmt.Fprintf(s.out, "tenant %s has no certificates; `cdds certificate add --help` says how to register one\n", tenant)
						return
					}
					rows := [][]string{{"FINGERPRINT", "NAME", "SUBJECT", "EXPIRES", "STATE", "JOBS"}}
					for _, c := range all {
						rows = append(rows, []string{c.Fingerprint[:16], c.Name, c.Subject, daysLeft(c.NotAfter.Time), standing(c), strings.Join(d.usedBy(tenant, c.Fingerprint), ", ")})
					}
					s.table(rows)
				})
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
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
			return s.withDefinitions(cmd.Context(), func(d *defined) error {
				c, err := d.find(tenant, args[0])
				if err != nil {
					return err
				}
				return s.result(c, func() {
					s.table([][]string{
						{"SHA-256", c.Fingerprint}, {"name", c.Name}, {"subject", c.Subject}, {"issuer", c.Issuer}, {"serial", c.Serial},
						{"key", fmt.Sprintf("RSA %d", c.KeyBits)}, {"key usage", strings.Join(c.KeyUsage, ", ")},
						{"valid", c.NotBefore.Format(time.DateOnly) + " to " + c.NotAfter.Format(time.DateOnly)}, {"state", standing(c)},
						{"added", c.AddedAt.String() + " by " + c.AddedBy}, {"jobs", strings.Join(d.usedBy(tenant, c.Fingerprint), ", ")},
					})
					fmt.Fprintf(s.out, "\n%s", c.PEM)
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
next export on: jobs need not be changed. What was exported before stays sealed for the
old one, whose key the receiver keeps as long as it wants to open that.

` + exitCodes,
		Example: examples("cdds certificate rotate 9f86d081884c new.pem --tenant acme"),
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cert, err := oneRecipient(args[1])
			if err != nil {
				return err
			}
			return s.withDefinitions(cmd.Context(), func(d *defined) error {
				old, err := d.find(tenant, args[0])
				if err != nil {
					return err
				}
				if old.Fingerprint == smime.Fingerprint(cert) {
					return usageError{errors.New("that is the certificate itself; give the file of the new one")}
				}
				if name == "" {
					name = old.Name
				}
				c, err := d.register(cmd.Context(), tenant, name, cert)
				if err != nil {
					return err
				}
				next := old
				next.ReplacedBy, next.UpdatedAt, next.UpdatedBy = c.Fingerprint, schemas.TimeOf(time.Now()), whoami()
				if err := d.publish(cmd.Context(), &next, schemas.AuditOfCertificate(&next, &old, machine())); err != nil {
					return err
				}
				return s.result(next, func() {
					fmt.Fprintf(s.out, "%s\nis used from now on where this was named:\n%s\n", c.Fingerprint, old.Fingerprint)
				})
			})
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().StringVar(&name, "name", "", "what people call the new one (default: as the old one)")
	return cmd
}

func newCertificateRemove(s *session) *cobra.Command {
	var tenant string
	var force bool
	cmd := &cobra.Command{
		Use:   "remove FINGERPRINT",
		Short: "Seal nothing for a certificate any more",
		Long: `Remove a certificate: from now on nothing is sealed for it, and exports under way fail
when they are next taken up. What was exported stays. A certificate that jobs name is
removed with --force only, and their runs are refused; to replace one, rotate it.

` + exitCodes,
		Example: examples("cdds certificate remove 9f86d081884c --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withDefinitions(cmd.Context(), func(d *defined) error {
				old, err := d.find(tenant, args[0])
				if err != nil {
					return err
				}
				if jobs := d.usedBy(tenant, old.Fingerprint); len(jobs) > 0 && !force {
					return refused(withHint(fmt.Errorf("certificate %s is named by jobs %s", old.Fingerprint[:16], strings.Join(jobs, ", ")),
						"`cdds certificate rotate` replaces it by another", "or --force to remove it all the same"))
				}
				next := old
				next.Removed, next.UpdatedAt, next.UpdatedBy = true, schemas.TimeOf(time.Now()), whoami()
				if err := d.publish(cmd.Context(), &next, schemas.AuditOfCertificate(&next, &old, machine())); err != nil {
					return err
				}
				return s.result(next, func() { fmt.Fprintf(s.out, "removed %s\n", next.Fingerprint) })
			})
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().BoolVar(&force, "force", false, "also if jobs name it")
	return cmd
}
