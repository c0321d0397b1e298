package admin

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"time"

	"cdds/ops/auth"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// Certificates lists the tenant's certificates that are not removed, replaced ones
// included, the latest added first.
func (h *Handle) Certificates(ctx context.Context) ([]schemas.Certificate, error) {
	if err := h.reads(auth.Read); err != nil {
		return nil, err
	}
	return h.definitions(ctx).Certificates(h.tenant), nil
}

// Certificate is one certificate of the tenant, by its SHA-256 fingerprint.
func (h *Handle) Certificate(ctx context.Context, fingerprint string) (schemas.Certificate, error) {
	if err := h.reads(auth.Read); err != nil {
		return schemas.Certificate{}, err
	}
	return h.certificate(ctx, fingerprint)
}

func (h *Handle) certificate(ctx context.Context, fingerprint string) (schemas.Certificate, error) {
	c, ok := h.definitions(ctx).Certificate(h.tenant, fingerprint)
	if !ok {
		return schemas.Certificate{}, missing(h.definitionsAsOfNow)
	}
	if c.Removed {
		return schemas.Certificate{}, ErrNotFound
	}
	return c, nil
}

// AddCertificate registers the one certificate in a PEM or DER file. A file with a
// private key is refused and goes nowhere. One that is registered already stays as it
// is.
func (h *Handle) AddCertificate(ctx context.Context, name string, file []byte) (schemas.Certificate, error) {
	if err := h.changes(ctx, auth.Change, "certificate.add", "certificate"); err != nil {
		return schemas.Certificate{}, err
	}
	c, err := h.register(ctx, name, file)
	if err != nil {
		return schemas.Certificate{}, h.refuse(ctx, "certificate.add", "certificate", err)
	}
	if known, ok := h.definitions(ctx).Certificate(h.tenant, c.Fingerprint); ok && !known.Removed {
		return known, nil
	}
	return *c, h.revised(ctx, "certificate.add", c.Fingerprint, c.Subject, c)
}

// register reads and judges a file.
func (h *Handle) register(ctx context.Context, name string, file []byte) (*schemas.Certificate, error) {
	invalid := func(problem string) error {
		return &schemas.InvalidError{Problems: []string{"certificate: " + problem}}
	}
	certs, err := smime.ParseRecipients(file)
	if err != nil {
		return nil, invalid(err.Error())
	}
	if len(certs) != 1 {
		return nil, invalid("the file holds " + schemas.Counted(len(certs), "certificate") + "; give one at a time")
	}
	if err := smime.CheckRecipient(certs[0], h.Now()); err != nil {
		return nil, invalid(err.Error())
	}
	c := schemas.NewCertificate(h.tenant, certs[0], h.who.Name, schemas.TimeOf(h.Now()))
	known, _ := h.definitions(ctx).Certificate(h.tenant, c.Fingerprint)
	c.Name, c.Revision = name, known.Revision+1
	return c, c.Validate()
}

// ReplaceCertificate registers the certificate in a file and has it used wherever the
// one with fingerprint is named.
func (h *Handle) ReplaceCertificate(ctx context.Context, fingerprint, name string, file []byte) (schemas.Certificate, error) {
	if err := h.changes(ctx, auth.Change, "certificate.replace", subjectOf(fingerprint)); err != nil {
		return schemas.Certificate{}, err
	}
	old, err := h.certificate(ctx, fingerprint)
	if err != nil {
		return old, err
	}
	if name == "" {
		name = old.Name
	}
	c, err := h.register(ctx, name, file)
	if err == nil && c.Fingerprint == old.Fingerprint {
		err = &ConflictError{"this is the certificate that is to be replaced"}
	}
	if err != nil {
		return schemas.Certificate{}, h.refuse(ctx, "certificate.replace", fingerprint, err)
	}
	if known, ok := h.definitions(ctx).Certificate(h.tenant, c.Fingerprint); !ok || known.Removed || known.ReplacedBy != "" || known.Name != c.Name {
		if err := h.revised(ctx, "certificate.add", c.Fingerprint, c.Subject, c); err != nil {
			return *c, err
		}
	}
	old.ReplacedBy, old.UpdatedAt, old.UpdatedBy, old.Revision = c.Fingerprint, c.UpdatedAt, h.who.Name, old.Revision+1
	return *c, h.revised(ctx, "certificate.replace", fingerprint, "by "+c.Fingerprint, &old)
}

// RemoveCertificate has nothing sealed for a certificate any more. While active jobs
// name it, or one that it replaces, it is a *ConflictError.
func (h *Handle) RemoveCertificate(ctx context.Context, fingerprint string) error {
	if err := h.changes(ctx, auth.Change, "certificate.remove", subjectOf(fingerprint)); err != nil {
		return err
	}
	c, err := h.certificate(ctx, fingerprint)
	if err != nil {
		return err
	}
	registered := h.definitions(ctx).Certificates(h.tenant)
	for _, j := range h.definitions(ctx).Jobs(h.tenant) {
		if j.State == schemas.JobActive && slices.ContainsFunc(j.Recipients, func(named string) bool {
			return slices.Contains(schemas.Replacements(named, registered), fingerprint)
		}) {
			return h.refuse(ctx, "certificate.remove", fingerprint, &ConflictError{"job " + j.JobID + " seals for it; suspend or change the job first"})
		}
	}
	c.Removed, c.UpdatedAt, c.UpdatedBy, c.Revision = true, schemas.TimeOf(h.Now()), h.who.Name, c.Revision+1
	return h.revised(ctx, "certificate.remove", fingerprint, c.Subject, &c)
}

// usable says why nothing can be sealed for a registered certificate; nil if it can.
func (h *Handle) usable(ctx context.Context, fingerprint string) error {
	c, err := h.definitions(ctx).Recipient(h.tenant, fingerprint)
	if err != nil {
		return errors.New("no certificate with this fingerprint is registered, or it was removed")
	}
	cert, err := c.X509()
	if err != nil {
		return err
	}
	return smime.CheckRecipient(cert, h.Now())
}

// expiryWarning is how long before its end a certificate is warned of.
const expiryWarning = 30 * 24 * time.Hour

// expiring lists certificates in use that end soon or have ended, the first first.
func (h *Handle) expiring(ctx context.Context, now schemas.Time) []schemas.CertificateRef {
	var all []schemas.CertificateRef
	for _, c := range h.definitions(ctx).Certificates(h.tenant) {
		if c.ReplacedBy == "" && c.NotAfter.Before(now.Add(expiryWarning)) {
			all = append(all, c.Ref())
		}
	}
	slices.SortFunc(all, func(a, b schemas.CertificateRef) int { return a.NotAfter.Compare(b.NotAfter) })
	return all
}

// SampleName is the file name of a sample.
const SampleName = "cdds-sample.p7m"

const sampleText = "It works: you can open what CDDS seals for this certificate.\r\n"

// Sample is a small S/MIME message sealed for a registered certificate, to try the
// private key with; sealed as files would be with these choices, which may be empty.
func (h *Handle) Sample(ctx context.Context, fingerprint, cipher, keyTransport string) ([]byte, error) {
	c, err := h.Certificate(ctx, fingerprint)
	if err != nil {
		return nil, err
	}
	cert, err := c.X509()
	if err != nil {
		return nil, err
	}
	return SealSample(cert, cipher, keyTransport)
}

// SealSample is Sample of a certificate at hand.
func SealSample(cert *x509.Certificate, cipher, keyTransport string) ([]byte, error) {
	o := smime.Options{ContentSize: int64(len(sampleText)), Filename: SampleName}
	if cipher == schemas.CipherGCM {
		o.Cipher = smime.AES256GCM
	}
	if keyTransport == schemas.KeyTransportOAEP {
		o.KeyTransport = smime.OAEP
	}
	var b bytes.Buffer
	w, err := smime.Encrypt(&b, o, cert)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, sampleText); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}
