package export

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// resolve finds the certificates a request names or brings, in PEM, and judges them.
func (w *Worker) resolve(ctx context.Context, r *schemas.ExportRequest) ([]string, error) {
	var all []string
	synced := false
	for i, given := range r.Recipients {
		refuse := func(format string, args ...any) error {
			return refusal{reason: fmt.Sprintf("recipients[%d]: ", i) + fmt.Sprintf(format, args...)}
		}
		var certs []*x509.Certificate
		switch {
		case given.Fingerprint != "" && w.Certificates == nil:
			return nil, refuse("no certificate with fingerprint %s is registered for tenant %s", given.Fingerprint, r.TenantID)
		case given.Fingerprint != "":
			if !synced { // one that was added or removed just before counts
				if err := w.Certificates.Sync(ctx); err != nil {
					return nil, err
				}
				synced = true
			}
			registered, err := w.Certificates.Recipient(r.TenantID, given.Fingerprint)
			if err != nil {
				return nil, refuse("%v", err)
			}
			cert, err := registered.X509()
			if err != nil {
				return nil, refuse("%v", err)
			}
			certs = []*x509.Certificate{cert}
		case !w.InlineCertificates:
			return nil, refuse("certificates inside requests are not allowed here; name a registered one by its fingerprint")
		default:
			var err error
			if certs, err = smime.ParseRecipients([]byte(given.Certificate)); err != nil {
				return nil, refuse("%v", err)
			}
		}
		for _, c := range certs {
			if err := smime.CheckRecipient(c, w.Now()); err != nil {
				return nil, refuse("(%s): %v", c.Subject, err)
			}
			all = append(all, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
		}
	}
	return all, nil
}

// parsed is the certificates that an export was accepted with, as far as they can be read.
func parsed(a pipeline.Acceptance) (all []*x509.Certificate) {
	for _, text := range a.Certificates {
		certs, err := smime.ParseRecipients([]byte(text))
		if err == nil {
			all = append(all, certs...)
		}
	}
	return all
}

// recipients are the certificates the export was accepted with, judged again: an export
// that is taken up later is sealed for nobody whose certificate expired or was removed.
func (r *run) recipients(ctx context.Context) ([]*x509.Certificate, error) {
	request, texts := r.accepted.Request, r.accepted.Certificates
	if texts == nil { // an earlier version accepted it
		err := r.try(ctx, "accept", 0, func(ctx context.Context) (err error) {
			texts, err = r.resolve(ctx, request)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	// Certificates inside requests cannot be removed.
	named := r.Certificates != nil && slices.ContainsFunc(request.Recipients, func(r schemas.Recipient) bool { return r.Fingerprint != "" })
	if named {
		if err := r.try(ctx, "accept", 0, r.Certificates.Sync); err != nil {
			return nil, err
		}
	}
	failed := func(err error) error { return failure{"accept", 0, pipeline.Permanent(err)} }
	var all []*x509.Certificate
	for _, text := range texts {
		certs, err := smime.ParseRecipients([]byte(text))
		if err != nil {
			return nil, failed(err)
		}
		for _, c := range certs {
			if err := smime.CheckRecipient(c, r.Now()); err != nil {
				return nil, failed(fmt.Errorf("recipient %s: %w", c.Subject, err))
			}
			if named {
				if registered, ok := r.Certificates.Certificate(request.TenantID, smime.Fingerprint(c)); ok && registered.Removed {
					return nil, failed(fmt.Errorf("recipient %s: the certificate was removed", c.Subject))
				}
			}
		}
		all = append(all, certs...)
	}
	return all, nil
}

const day = 24 * time.Hour

// lifetime is how long the artifacts of a request live; 0 if it does not say.
func (w *Worker) lifetime(r *schemas.ExportRequest) (time.Duration, error) {
	asked := time.Duration(r.RetentionDays) * day
	if longest := w.Exporter.Lifetime(r.TenantID); asked > longest {
		return 0, refusal{reason: fmt.Sprintf("retention_days: %d is more than the %s that artifacts of tenant %s may live; ask for less, or have export.lifetime_by_tenant raised", r.RetentionDays, days(longest), r.TenantID)}
	}
	return asked, nil
}

func days(d time.Duration) string {
	if d%day == 0 {
		return schemas.Counted(int(d/day), "day")
	}
	return d.String()
}
