package console

import (
	"strings"

	"cdds/schemas"
)

// auditRow is a record that reads as a sentence.
type auditRow struct{ schemas.AuditRecord }

// act is what somebody does, as a command and as a report: "cancel export", "cancelled export".
type act struct{ verb, past string }

// acts are what people and programs do, by the action of the record.
var acts = map[string]act{
	"session.begin":   {"sign in as", "signed in as"},
	"session.end":     {"end the session of", "ended the session of"},
	"session.end_all": {"end all sessions of", "ended all sessions of"},
	"password.change": {"change the password of", "changed the password of"},

	"user.create":         {"add", "added"},
	"user.change":         {"change", "changed"},
	"user.delete":         {"delete", "deleted"},
	"user.disable":        {"disable", "disabled"},
	"user.enable":         {"enable", "enabled"},
	"user.reset_password": {"reset the password of", "reset the password of"},
	"token.create":        {"create", "created"},
	"token.revoke":        {"revoke", "revoked"},

	"job.create":            {"create job", "created job"},
	"job.change":            {"change job", "changed job"},
	"job.delete":            {"delete job", "deleted job"},
	"job.suspend":           {"suspend job", "suspended job"},
	"job.resume":            {"resume job", "resumed job"},
	"job.run":               {"run job", "ran job"},
	"job.read_secret":       {"read the webhook secret of job", "read the webhook secret of job"},
	"webhook.test":          {"test the webhook of job", "tested the webhook of job"},
	"webhook.redeliver":     {"deliver again to the webhook of job", "requested a redelivery to the webhook of job"},
	"job.restart_chain":     {"start over the chain of job", "started over the chain of job"},
	"erasure.hold":          {"hold erasure", "held erasure"},
	"hold.create":           {"create hold", "created hold"},
	"hold.release":          {"release hold", "released hold"},
	"hold.withdraw_release": {"withdraw the release of hold", "withdrew the request to release hold"},
	"hold.request_release":  {"request the release of hold", "requested the release of hold"},
	"job.acknowledge":       {"acknowledge runs of job", "acknowledged runs of job"},

	"certificate.change":  {"change certificate", "changed certificate"},
	"certificate.add":     {"add certificate", "added certificate"},
	"certificate.remove":  {"remove certificate", "removed certificate"},
	"certificate.replace": {"replace certificate", "replaced certificate"},

	"export.requested": {"request export", "requested export"}, // by an earlier release
	"export.create":    {"request export", "requested export"},
	"export.clone":     {"clone export", "cloned export"},
	"export.estimate":  {"estimate export", "estimated export"},
	"export.download":  {"download files of export", "downloaded files of export"},
	"export.cancel":    {"cancel export", "asked to cancel export"},
	"export.retry":     {"retry export", "asked to retry export"},
	"export.delete":    {"delete the files of export", "asked to delete the files of export"},

	"erasure.create":    {"request erasure", "requested erasure"},
	"erasure.preview":   {"preview erasure", "previewed erasure"},
	"erasure.complete":  {"carry out erasure", "carried out erasure"},
	"erasure.repeat":    {"repeat erasure", "repeated erasure"},
	"records.write_off": {"write off records of topic", "wrote off records of topic"},
	"history.age_out":   {"remove aged history of each", "removed aged history of each"},
	"retention.confirm": {"confirm the removal of", "confirmed the removal of"},
	"topic.replace":     {"take over topic", "found another topic of the name"},
	"topic.truncate":    {"take over topic", "found that records are gone from topic"},
	"letters.show":      {"look at", "looked at"},
	"letters.publish":   {"publish again", "published again"},
}

// results are what became of an export: their subject is the export itself. Earlier releases
// called them by the state.
var results = map[string]string{
	"export.complete": "completed", "export.fail": "failed", "export.stop": "was cancelled", "export.expire": "expired", "export.remove": "was deleted",
	"export.completed": "completed", "export.failed": "failed", "export.refused": "was refused", "export.cancelled": "was cancelled",
	"export.expired": "expired", "export.deleted": "was deleted",
}

// Who is who did it; empty where the sentence is about what became of an export.
func (r auditRow) Who() string {
	switch {
	case results[r.Action] != "":
		return ""
	case r.Actor == "":
		return "Somebody"
	}
	return r.Actor
}

// Did is what was done, to be followed by the subject. An action that was not done says
// that it was only tried; one that has no words here is called by its name.
func (r auditRow) Did() string {
	a, known := acts[r.Action]
	switch {
	case results[r.Action] != "":
		return "Export"
	case !known && r.Outcome == schemas.OutcomeDone:
		return "recorded " + r.Action + " for"
	case !known:
		return "tried " + r.Action + " for"
	case r.Outcome == schemas.OutcomeDone:
		return a.past
	}
	return "tried to " + a.verb
}

// DidHere is what was done, where the subject is the export whose page says it.
func (r auditRow) DidHere() string { return strings.TrimSuffix(r.Did(), " export") + " this export" }

// Became is the end of the sentence on an export; empty elsewhere.
func (r auditRow) Became() string { return results[r.Action] }
