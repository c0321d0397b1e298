package schemas_test

import (
	"testing"
	"time"

	"cdds/schemas"
)

func TestARevisionOfAJobOrACertificateIsAuditedAsWhatWasDone(t *testing.T) {
	before := schemas.Job{JobID: "nightly", TenantID: "acme", State: schemas.JobActive, Revision: 1}
	job := func(change func(*schemas.Job)) *schemas.Job {
		j := before
		j.Revision++
		change(&j)
		return &j
	}
	suspended := *job(func(j *schemas.Job) { j.State = schemas.JobSuspended })
	for want, got := range map[string]*schemas.AuditRecord{
		"job.create":        schemas.AuditOfJob(&before, nil, "host"),
		"job.change":        schemas.AuditOfJob(job(func(j *schemas.Job) { j.Title = "Nightly" }), &before, "host"),
		"job.suspend":       schemas.AuditOfJob(&suspended, &before, "host"),
		"job.resume":        schemas.AuditOfJob(job(func(*schemas.Job) {}), &suspended, "host"),
		"job.delete":        schemas.AuditOfJob(job(func(j *schemas.Job) { j.State = schemas.JobDeleted }), &before, "host"),
		"job.restart_chain": schemas.AuditOfJob(job(func(j *schemas.Job) { j.ChainFrom = schemas.TimeOf(time.Now()) }), &before, "host"),
	} {
		if got.Action != want {
			t.Errorf("%s is audited as %s", want, got.Action)
		}
	}
	old := schemas.Certificate{Fingerprint: "aa", TenantID: "acme", Subject: "CN=Ada"}
	replaced, removed := old, old
	replaced.ReplacedBy, removed.Removed = "bb", true
	for want, got := range map[string]*schemas.AuditRecord{
		"certificate.add":     schemas.AuditOfCertificate(&old, nil, "host"),
		"certificate.replace": schemas.AuditOfCertificate(&replaced, &old, "host"),
		"certificate.remove":  schemas.AuditOfCertificate(&removed, &old, "host"),
	} {
		if got.Action != want {
			t.Errorf("%s is audited as %s", want, got.Action)
		}
	}
}
