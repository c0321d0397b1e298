package schemas

import (
	"cmp"
	"strings"
)

// AuditRecord says who did what to which export, when, from where and with what
// outcome: one fact on cdds.audit. It never holds payloads or secrets. Publishing
// the same fact again changes nothing: AuditID is the same.
type AuditRecord struct {
	// AuditID is derived from the fact, such as "acme/october-2026/completed".
	AuditID string `json:"id"`
	Time    Time   `json:"time"`
	// TenantID is whose export, data or user it was; AllTenants if of no one tenant.
	TenantID string `json:"tenant_id"`
	// Actor is the person or process that did it, as far as it said so.
	Actor string `json:"actor,omitempty"`
	// From is the address, host or process it was done from.
	From string `json:"from,omitempty"`
	// Action is what was done: one of AuditActions, or one that an earlier release recorded.
	Action string `json:"action"`
	// Subject is what it was done to: the id of an export or an erasure.
	Subject string `json:"subject"`
	// Outcome is done, refused or failed.
	Outcome string `json:"outcome"`
	// Detail is a sentence for people: a reason, a range, a count.
	Detail string `json:"detail,omitempty"`
}

// Outcomes of what was done.
const (
	OutcomeDone    = "done"
	OutcomeRefused = "refused"
	OutcomeFailed  = "failed"
)

// Outcomes lists what can come of an action.
func Outcomes() []string { return []string{OutcomeDone, OutcomeRefused, OutcomeFailed} }

// AuditOf is the audit record of a status event, or false for one that tells only of
// progress. Whoever publishes the event publishes the record with it.
func AuditOf(s *ExportStatus) (*AuditRecord, bool) {
	if !s.State.Ended() && (s.State != Requested || s.Request == nil) {
		return nil, false
	}
	a := &AuditRecord{
		AuditID: s.ID(), Time: s.Time, TenantID: s.TenantID, Actor: s.Worker, From: s.Worker,
		Action: "export." + auditVerbs[s.State], Subject: s.ExportID, Outcome: OutcomeDone, Detail: s.Reason,
	}
	if r := s.Request; r != nil {
		a.Actor, a.From = cmp.Or(r.RequestedBy, s.Worker), cmp.Or(r.RequestedFrom, s.Worker)
	}
	switch s.State {
	case Requested:
		a.AuditID = requestAuditID(s.TenantID, s.ExportID, cmp.Or(s.RequestDigest, s.Request.Digest()))
		a.Detail = s.Request.About()
	case Refused:
		a.Outcome = OutcomeRefused
		if s.Request != nil && s.Request.Controls() {
			a.Action = "export." + s.Request.Action
		}
	case Failed:
		a.Outcome = OutcomeFailed
		if s.Failure != nil {
			a.Detail = s.Failure.Stage + ": " + s.Failure.Reason
		}
	}
	a.Detail = bounded(a.Detail)
	return a, true
}

// auditVerbs are what is done to an export that comes into a state. A cancelled one was
// stopped, and of a deleted one the artifacts were removed: to cancel and to delete are
// requests.
var auditVerbs = map[State]string{
	Requested: "create", Refused: "create", Completed: "complete", Failed: "fail", Cancelled: "stop", Expired: "expire", Deleted: "remove",
}

// AuditID is the id of the audit record of the request, whoever records it: of two records
// of one request the audit trail keeps the earlier.
func (r *ExportRequest) AuditID() string {
	id := requestAuditID(r.TenantID, r.ExportID, r.Digest())
	if r.Controls() && !r.RequestedAt.IsZero() { // an export is retried, or cancelled in vain, more than once
		id += "/" + r.RequestedAt.String()
	}
	return id
}

func requestAuditID(tenantID, exportID, digest string) string {
	return tenantID + "/" + exportID + "/" + digest[:min(16, len(digest))]
}

// Audited is a status event and, where it has one, its audit record: what is to be
// published together.
func Audited(s *ExportStatus) []Event {
	events := []Event{s}
	if a, ok := AuditOf(s); ok {
		events = append(events, a)
	}
	return events
}

// AuditOfControl is the audit record of a request that controls an export rather than
// asking for one, such as cancel: who requested it. What came of it is the record of the
// status that follows.
func AuditOfControl(r *ExportRequest, worker string, now Time) *AuditRecord {
	return &AuditRecord{
		AuditID: r.AuditID(), Time: now, TenantID: r.TenantID, Actor: r.RequestedBy, From: cmp.Or(r.RequestedFrom, worker),
		Action: "export." + shorten(r.Action), Subject: r.ExportID, Outcome: OutcomeDone, Detail: "requested",
	}
}

// bounded keeps a detail within what an event may hold.
func bounded(s string) string {
	if len(s) <= maxShortTextBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxShortTextBytes-8], "") + "..."
}

// Topic is cdds.audit.
func (a *AuditRecord) Topic() Topic { return TopicAudit }

// Key is the subject, so that what was done to one thing is in order.
func (a *AuditRecord) Key() string { return a.Subject }

// Type is the CloudEvents type.
func (a *AuditRecord) Type() string { return "cdds.audit.v1" }

// ID is the record's own.
func (a *AuditRecord) ID() string { return a.AuditID }

// At is when it was done.
func (a *AuditRecord) At() Time { return a.Time }

// Validate reports every broken rule as one *InvalidError.
func (a *AuditRecord) Validate() error {
	var p problems
	switch {
	case a.AuditID == "":
		p.add("id", "is missing")
	case len(a.AuditID) > maxShortTextBytes:
		p.add("id", "has %d bytes; the limit is %d", len(a.AuditID), maxShortTextBytes)
	}
	p.instant("time", a.Time, true)
	if a.TenantID != AllTenants {
		p.tenant(a.TenantID)
	}
	p.id("subject", a.Subject, true)
	if a.Action == "" {
		p.add("action", "is missing")
	}
	p.short("actor", a.Actor)
	p.short("from", a.From)
	p.short("action", a.Action)
	p.short("detail", a.Detail)
	p.oneOf("outcome", a.Outcome, Outcomes(), true)
	return p.err()
}

// DecodeAuditRecord reads and validates the value of a cdds.audit message. Every
// error is a *MalformedError.
func DecodeAuditRecord(b []byte) (*AuditRecord, error) {
	a := new(AuditRecord)
	if err := readEvent(b, a); err != nil {
		return nil, err
	}
	return validated(a)
}

// AuditOfJob is the audit record of a revision of a job, done from the host or process
// from. previous is nil for a new one. The actions are those of ops/admin.
func AuditOfJob(j, previous *Job, from string) *AuditRecord {
	action := "change"
	switch {
	case previous == nil:
		action = "create"
	case j.State != previous.State:
		action = map[string]string{JobActive: "resume", JobSuspended: "suspend", JobDeleted: "delete"}[j.State]
	case !j.ChainFrom.Equal(previous.ChainFrom.Time):
		action = "restart_chain"
	}
	return &AuditRecord{
		AuditID: "job/" + j.ID() + "/" + action, Time: j.UpdatedAt, TenantID: j.TenantID, Actor: j.UpdatedBy, From: from,
		Action: "job." + action, Subject: j.JobID, Outcome: OutcomeDone, Detail: bounded(j.Title),
	}
}

// AuditOfCertificate is the audit record of a change to a certificate, done from the
// host or process from. previous is nil for a new one. The actions are those of ops/admin.
func AuditOfCertificate(c, previous *Certificate, from string) *AuditRecord {
	action, detail := "change", c.Subject
	switch {
	case c.Removed && (previous == nil || !previous.Removed):
		action = "remove"
	case previous == nil || previous.Removed && !c.Removed:
		action = "add"
	case c.ReplacedBy != previous.ReplacedBy:
		action, detail = "replace", c.Subject+" by "+c.ReplacedBy
	}
	return &AuditRecord{
		AuditID: "certificate/" + c.ID() + "/" + action, Time: c.UpdatedAt, TenantID: c.TenantID, Actor: c.UpdatedBy, From: from,
		Action: "certificate." + action, Subject: c.Fingerprint, Outcome: OutcomeDone, Detail: bounded(detail),
	}
}
