//go:build !receiver

package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cdds/ops/api"
	"cdds/ops/api/client"
	"cdds/ops/shell"
	"cdds/pipeline/smime"
	"cdds/producers/schedule"
	"cdds/schemas"
)

// registry is where a tenant's jobs and certificates are read and changed: the services
// themselves (*defined), or a server. What it returns has its exit code.
type registry interface {
	listJobs(ctx context.Context, tenant string) ([]schemas.Job, error)
	// queuesAmong are those of some names that are queues of the tenant.
	queuesAmong(ctx context.Context, tenant string, names []string) ([]string, error)
	// job is one that is not deleted.
	job(ctx context.Context, tenant, id string) (schemas.Job, error)
	// saveJob makes j, or changes previous to it, which is nil then.
	saveJob(ctx context.Context, j schemas.Job, previous *schemas.Job) (schemas.Job, error)
	setJobState(ctx context.Context, j schemas.Job, state string) (schemas.Job, error)
	// chain is the runs of a job's chain after a number.
	chain(ctx context.Context, j schemas.Job, after int) (schemas.ChainRuns, error)
	// restartChain has the next run of a job hold everything.
	restartChain(ctx context.Context, j schemas.Job) (schemas.Job, error)
	// past is what a job made and whom it told, the latest first.
	past(ctx context.Context, j schemas.Job) ([]schemas.Export, []schemas.WebhookDelivery, error)
	certificates(ctx context.Context, tenant string) ([]schemas.Certificate, error)
	register(ctx context.Context, tenant, name string, cert *x509.Certificate) (schemas.Certificate, error)
	// replace registers cert, to be used where old is named.
	replace(ctx context.Context, old schemas.Certificate, name string, cert *x509.Certificate) (schemas.Certificate, error)
	remove(ctx context.Context, c schemas.Certificate) error
}

// withRegistry runs do on the server that is named, or on the services.
func (s *session) withRegistry(ctx context.Context, do func(registry) error) error {
	c, err := s.remote()
	if err != nil {
		return err
	}
	if c != nil {
		return answered(do(far{c}))
	}
	return s.withDefinitions(ctx, func(d *defined) error { return do(d) })
}

// pastShown is how many runs and deliveries of a job are shown.
const pastShown = 10

func (d *defined) listJobs(_ context.Context, tenant string) ([]schemas.Job, error) {
	return d.Jobs(tenant), nil
}

func (d *defined) job(_ context.Context, tenant, id string) (schemas.Job, error) {
	j, ok := d.Job(tenant, id)
	if !ok || j.Deleted() {
		return j, refused(withHint(fmt.Errorf("tenant %s has no job %s", tenant, id), "`"+shell.Command("cdds", "job", "list", "--tenant", tenant)+"` lists them"))
	}
	return j, nil
}

func (d *defined) saveJob(ctx context.Context, j schemas.Job, previous *schemas.Job) (schemas.Job, error) {
	if known, ok := d.Job(j.TenantID, j.JobID); ok && previous == nil {
		return j, refused(fmt.Errorf("tenant %s has or had a job %s, called %q; choose another --id", j.TenantID, j.JobID, known.Title))
	}
	next := j.Revised(previous, whoami(), schemas.TimeOf(time.Now()))
	if err := next.Validate(); err != nil {
		return j, usageError{err}
	}
	if next.FieldPolicy.Pseudonyms(next.Entity) > 0 && d.config.Export.PseudonymSecret == "" {
		return *next, refused(fmt.Errorf("field_policy: %w", schemas.ErrNoPseudonymKey))
	}
	if err := schedule.Check(*next); err != nil {
		return j, usageError{err}
	}
	for _, fingerprint := range next.Recipients {
		c, err := d.Recipient(next.TenantID, fingerprint)
		if err != nil {
			return j, refused(withHint(err, "`"+shell.Command("cdds", "certificate", "add", "FILE", "--tenant", next.TenantID)+"` registers one"))
		}
		cert, err := c.X509()
		if err == nil {
			err = smime.CheckRecipient(cert, time.Now())
		}
		if err != nil {
			return j, refused(fmt.Errorf("recipient %s: %w", c.Subject, err))
		}
	}
	return *next, d.change(ctx, next, schemas.AuditOfJob(next, previous, machine()))
}

func (d *defined) setJobState(ctx context.Context, j schemas.Job, state string) (schemas.Job, error) {
	if j.State == state {
		return j, nil
	}
	changed := j
	changed.State = state
	next := changed.Revised(&j, whoami(), schemas.TimeOf(time.Now()))
	return *next, d.change(ctx, next, schemas.AuditOfJob(next, &j, machine()))
}

func (d *defined) restartChain(ctx context.Context, j schemas.Job) (schemas.Job, error) {
	if j.Timeframe.Kind != schemas.TimeframeSinceLastRun {
		return j, refused(errors.New("every run of the job holds everything that it selects; there is no chain"))
	}
	changed := j
	changed.ChainFrom = schemas.TimeOf(time.Now())
	next := changed.Revised(&j, whoami(), schemas.TimeOf(time.Now()))
	return *next, d.change(ctx, next, schemas.AuditOfJob(next, &j, machine()))
}

func (d *defined) past(ctx context.Context, j schemas.Job) ([]schemas.Export, []schemas.WebhookDelivery, error) {
	runs, err := d.ledger.JobRuns(ctx, j.TenantID, j.JobID, pastShown)
	if err != nil {
		return nil, nil, unreachable(err)
	}
	told, err := d.ledger.Deliveries(ctx, j.TenantID, j.JobID, "", pastShown)
	if err != nil {
		return nil, nil, unreachable(err)
	}
	return runs, told, nil
}

func (d *defined) certificates(_ context.Context, tenant string) ([]schemas.Certificate, error) {
	return d.Certificates(tenant), nil
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
		previous, c.Revision = &known, known.Revision
		c.AddedAt, c.AddedBy = known.AddedAt, known.AddedBy
		if name == "" {
			c.Name = known.Name
		}
	}
	c.Revision++
	return *c, d.change(ctx, c, schemas.AuditOfCertificate(c, previous, machine()))
}

func (d *defined) replace(ctx context.Context, old schemas.Certificate, name string, cert *x509.Certificate) (schemas.Certificate, error) {
	c, err := d.register(ctx, old.TenantID, name, cert)
	if err != nil {
		return c, err
	}
	next := old
	next.ReplacedBy, next.UpdatedAt, next.UpdatedBy, next.Revision = c.Fingerprint, schemas.TimeOf(time.Now()), whoami(), old.Revision+1
	return c, d.change(ctx, &next, schemas.AuditOfCertificate(&next, &old, machine()))
}

func (d *defined) remove(ctx context.Context, c schemas.Certificate) error {
	next := c
	next.Removed, next.UpdatedAt, next.UpdatedBy, next.Revision = true, schemas.TimeOf(time.Now()), whoami(), c.Revision+1
	return d.change(ctx, &next, schemas.AuditOfCertificate(&next, &c, machine()))
}

// far is the registry of a server.
type far struct{ *client.Client }

func (f far) listJobs(ctx context.Context, tenant string) ([]schemas.Job, error) {
	all, err := f.Jobs(ctx, tenant)
	return all.Items, err
}

func (f far) queuesAmong(ctx context.Context, tenant string, names []string) ([]string, error) {
	return f.QueuesAmong(ctx, tenant, names)
}

func (f far) job(ctx context.Context, tenant, id string) (schemas.Job, error) {
	return f.Job(ctx, tenant, id)
}

func (f far) saveJob(ctx context.Context, j schemas.Job, previous *schemas.Job) (schemas.Job, error) {
	if previous == nil {
		return f.CreateJob(ctx, j.TenantID, j.JobID, api.JobInputOf(j))
	}
	return f.ChangeJob(ctx, j.TenantID, j.JobID, previous.Revision, api.JobInputOf(j))
}

func (f far) setJobState(ctx context.Context, j schemas.Job, state string) (schemas.Job, error) {
	return f.SetJobState(ctx, j.TenantID, j.JobID, state)
}

func (f far) restartChain(ctx context.Context, j schemas.Job) (schemas.Job, error) {
	return f.RestartChain(ctx, j.TenantID, j.JobID)
}

func (f far) past(ctx context.Context, j schemas.Job) ([]schemas.Export, []schemas.WebhookDelivery, error) {
	runs, err := f.JobRuns(ctx, j.TenantID, j.JobID, pastShown)
	if err != nil {
		return nil, nil, err
	}
	page, err := f.Deliveries(ctx, j.TenantID, client.DeliveryQuery{JobID: j.JobID, Limit: pastShown})
	return runs, page.Items, err
}

func (f far) certificates(ctx context.Context, tenant string) ([]schemas.Certificate, error) {
	return f.Certificates(ctx, tenant)
}

func (f far) register(ctx context.Context, tenant, name string, cert *x509.Certificate) (schemas.Certificate, error) {
	return f.AddCertificate(ctx, tenant, name, pemOf(cert))
}

func (f far) replace(ctx context.Context, old schemas.Certificate, name string, cert *x509.Certificate) (schemas.Certificate, error) {
	return f.ReplaceCertificate(ctx, old.TenantID, old.Fingerprint, name, pemOf(cert))
}

func (f far) remove(ctx context.Context, c schemas.Certificate) error {
	return f.RemoveCertificate(ctx, c.TenantID, c.Fingerprint)
}

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// findCertificate looks a certificate up by its fingerprint or the beginning of it.
func findCertificate(ctx context.Context, r registry, tenant, fingerprint string) (schemas.Certificate, error) {
	fingerprint = strings.ToLower(strings.ReplaceAll(fingerprint, ":", ""))
	if len(fingerprint) < 8 {
		return schemas.Certificate{}, usageError{fmt.Errorf("fingerprint %q is too short; give at least 8 digits", fingerprint)}
	}
	all, err := r.certificates(ctx, tenant)
	if err != nil {
		return schemas.Certificate{}, err
	}
	found := slices.DeleteFunc(all, func(c schemas.Certificate) bool { return !strings.HasPrefix(c.Fingerprint, fingerprint) })
	hint := "`" + shell.Command("cdds", "certificate", "list", "--tenant", tenant) + "` lists them"
	switch len(found) {
	case 0:
		return schemas.Certificate{}, refused(withHint(fmt.Errorf("tenant %s has no certificate %s", tenant, fingerprint), hint))
	case 1:
		return found[0], nil
	}
	return schemas.Certificate{}, usageError{withHint(fmt.Errorf("%s begin with %s", schemas.Counted(len(found), "certificate"), fingerprint), hint)}
}

// usedBy lists the ids of the tenant's jobs that name each certificate, or one that it
// replaces.
func usedBy(ctx context.Context, r registry, tenant string) (map[string][]string, error) {
	all, err := r.listJobs(ctx, tenant)
	if err != nil {
		return nil, err
	}
	registered, err := r.certificates(ctx, tenant)
	if err != nil {
		return nil, err
	}
	by := map[string][]string{}
	for _, j := range all {
		for _, named := range j.Recipients {
			for _, fingerprint := range schemas.Replacements(named, registered) {
				if !slices.Contains(by[fingerprint], j.JobID) {
					by[fingerprint] = append(by[fingerprint], j.JobID)
				}
			}
		}
	}
	return by, nil
}

var errSameCertificate = errors.New("that is the certificate itself; give the file of the new one")
