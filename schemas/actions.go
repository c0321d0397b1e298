package schemas

import "slices"

// AuditAction is something that the audit trail says was done.
type AuditAction struct {
	// Name is the thing, a dot and a verb.
	Name string
	// Means says what was done to the subject.
	Means string
}

// AuditActions lists everything that audit records are of, by name.
func AuditActions() []AuditAction { return slices.Clone(auditActions) }

var auditActions = []AuditAction{
	{"certificate.add", "registered, also again after it was removed"},
	{"certificate.change", "changed by the command line in another way"},
	{"certificate.remove", "removed"},
	{"certificate.replace", "replaced by another in all jobs"},
	{"erasure.complete", "carried out by the erasure role; failed: nothing was found"},
	{"erasure.create", "requested; refused also by the erasure role"},
	{"erasure.hold", "delayed by the erasure role until a hold is released"},
	{"erasure.preview", "previewed: somebody looked up what it would remove"},
	{"erasure.repeat", "carried out once more, by the erasure role, on rows that came late"},
	{"export.cancel", "its cancellation requested"},
	{"export.clone", "requested again under another id; the new request has its own record, export.create"},
	{"export.complete", "completed by a worker"},
	{"export.create", "requested; refused also by a worker"},
	{"export.delete", "the removal of its artifacts requested"},
	{"export.download", "a file downloaded"},
	{"export.estimate", "estimated"},
	{"export.expire", "its artifacts removed by retention when they expired"},
	{"export.fail", "given up by a worker"},
	{"export.remove", "its artifacts removed, by a worker, as requested"},
	{"export.retry", "another attempt requested"},
	{"export.stop", "ended by a worker, as requested"},
	{"history.age_out", "rows removed by retention under the retention policy of history"},
	{"hold.create", "made"},
	{"hold.release", "released"},
	{"hold.request_release", "its release requested, where two people must release it"},
	{"hold.withdraw_release", "the request to release it withdrawn"},
	{"job.acknowledge", "runs acknowledged by a receiver"},
	{"job.change", "changed"},
	{"job.create", "created"},
	{"job.delete", "deleted"},
	{"job.read_secret", "the secret of its webhook read"},
	{"job.restart_chain", "its chain restarted: the next run holds everything"},
	{"job.resume", "resumed"},
	{"job.run", "a run requested; the run has its own record, export.create"},
	{"job.suspend", "suspended"},
	{"letters.publish", "published to its topic again"},
	{"letters.show", "read"},
	{"password.change", "changed by the user"},
	{"records.write_off", "records of a topic given up as lost"},
	{"retention.confirm", "a stopped sweep confirmed"},
	{"session.begin", "signed in"},
	{"session.end", "signed out, or ended by an administrator"},
	{"session.end_all", "signed out everywhere"},
	{"token.create", "created"},
	{"token.revoke", "revoked"},
	{"topic.replace", "found to be a new topic with the same name"},
	{"topic.truncate", "found to have lost records"},
	{"user.change", "display name or role changed"},
	{"user.create", "created"},
	{"user.delete", "deleted"},
	{"user.disable", "disabled: may not sign in"},
	{"user.enable", "enabled: may sign in again"},
	{"user.reset_password", "given a one-time password"},
	{"webhook.redeliver", "an event of its webhook requested again"},
	{"webhook.test", "a test of its webhook requested"},
}
