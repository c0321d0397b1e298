package schemas

import "fmt"

// State is where an export stands.
type State string

// The states of an export: requested -> planned -> running -> completed, failed or
// cancelled; refused straight from requested; failed goes on when it is retried.
// Later expired or deleted: the artifacts are gone.
const (
	Requested State = "requested"
	Planned   State = "planned"
	Running   State = "running"
	Failed    State = "failed"
	Cancelled State = "cancelled"
	Completed State = "completed"
	Refused   State = "refused"
	Expired   State = "expired"
	Deleted   State = "deleted"
)

// States lists every state in order of precedence: of two events, the one whose
// state stands later here decides where the export stands. A worker that was
// believed dead may report failure after another completed the export; what is
// stored and signed counts, until its artifacts are gone.
func States() []State {
	return []State{Requested, Refused, Planned, Running, Failed, Cancelled, Completed, Expired, Deleted}
}

// Ended reports whether the export will not change by itself any more.
func (s State) Ended() bool {
	switch s {
	case Refused, Failed, Cancelled, Completed, Expired, Deleted:
		return true
	}
	return false
}

// ExportStatus is one fact about one export, on cdds.export.status. Publishing the
// same fact again changes nothing: EventID is the same.
type ExportStatus struct {
	TenantID string `json:"tenant_id"`
	ExportID string `json:"export_id"`
	// EventID is unique within the export and derived from the fact, such as
	// "planned" or "part/0003".
	EventID string `json:"event_id"`
	State   State  `json:"state"`
	Time    Time   `json:"time"`
	// Attempt counts from 1, which is also meant by 0; a retry begins the next. A
	// failure holds for its attempt only.
	Attempt int `json:"attempt,omitempty"`
	// JobID comes with the end of an export that is a run of a job.
	JobID string `json:"job_id,omitempty"`
	// Worker is the host or process that reports.
	Worker string `json:"worker,omitempty"`

	// Request comes with requested and refused, certificates replaced by
	// references; RequestDigest tells requests of the same id apart.
	Request       *ExportRequest   `json:"request,omitempty"`
	RequestDigest string           `json:"request_digest,omitempty"`
	Recipients    []CertificateRef `json:"recipients,omitempty"`
	// Snapshot comes with requested. Continues comes with planned, if the export holds only
	// what differs from another, and StartsOver says why a run of a chain does not.
	Snapshot   Snapshot   `json:"snapshot,omitempty"`
	Continues  *Continued `json:"continues,omitempty"`
	StartsOver string     `json:"starts_over,omitempty"`
	// HistoryFrom comes with planned, if rows from before it are kept no longer and left out.
	HistoryFrom Time `json:"history_from,omitzero"`
	// Waiting says what an export that has not ended waits for. A later event that says
	// nothing of it ends the wait.
	Waiting string `json:"waiting,omitempty"`
	// BeganAt comes with planned: when the attempt began. The bytes of the export count for that
	// day, in UTC.
	BeganAt Time `json:"began_at,omitzero"`
	// Planned comes with planned: what is to be done. The plan itself, which can be
	// larger than a message may be, is stored beside the artifacts.
	Planned *Totals `json:"planned,omitempty"`
	// Part comes with running: the part that was stored.
	Part *Receipt `json:"part,omitempty"`
	// Reason comes with refused, cancelled, expired and deleted.
	Reason string `json:"reason,omitempty"`
	// Failure comes with failed.
	Failure *Failure `json:"failure,omitempty"`
	// Completion comes with completed.
	Completion *Completion `json:"completion,omitempty"`
}

// Continued is the export that another one continues, and what it selected.
type Continued struct {
	ExportID string `json:"export_id"`
	// Filter is its filter, From being from when on rows were kept.
	Filter   Filter   `json:"filter"`
	Snapshot Snapshot `json:"snapshot"`
	// ErasedFrom and ErasedTo bound when the erasures that it carries were recorded, [from, to);
	// there are none without them. What is left of the erased interactions it has once more.
	ErasedFrom Time `json:"erased_from,omitzero"`
	ErasedTo   Time `json:"erased_to,omitzero"`
}

// Failure says why an export was given up.
type Failure struct {
	// Stage is accept, barrier, plan, part or manifest.
	Stage string `json:"stage"`
	// Part is the number of the part, or 0.
	Part   int    `json:"part,omitempty"`
	Reason string `json:"reason"`
	// Hint is what an admin can do.
	Hint string `json:"hint,omitempty"`
	// Retryable says whether asking again can help.
	Retryable bool `json:"retryable"`
}

// Completion says what was stored last: the manifest and its signature.
type Completion struct {
	ManifestKey     string `json:"manifest_key"`
	ManifestBytes   int64  `json:"manifest_bytes"`
	ManifestSHA256  string `json:"manifest_sha256"`
	SignatureKey    string `json:"signature_key"`
	SignatureBytes  int64  `json:"signature_bytes"`
	SignatureSHA256 string `json:"signature_sha256"`
	// SignerSHA256 is the fingerprint of the service certificate that signed, for
	// receivers to pin. It is empty where the signature that was there is of another one,
	// because the certificate was replaced just then: nobody here vouches for it.
	SignerSHA256 string `json:"signer_sha256,omitempty"`
	Totals       Totals `json:"totals"`
	ExpiresAt    Time   `json:"expires_at"`
	// Chain is the place of a run in the chain of its job.
	Chain *Chain `json:"chain,omitempty"`
}

// Topic is cdds.export.status.
func (s *ExportStatus) Topic() Topic { return TopicExportStatus }

// Key is the export id.
func (s *ExportStatus) Key() string { return s.ExportID }

// Type is the CloudEvents type.
func (s *ExportStatus) Type() string { return "cdds.export.status.v1" }

// ID is tenant, export and event id.
func (s *ExportStatus) ID() string { return s.TenantID + "/" + s.ExportID + "/" + s.EventID }

// At is when the fact happened.
func (s *ExportStatus) At() Time { return s.Time }

// Validate reports every broken rule as one *InvalidError.
func (s *ExportStatus) Validate() error {
	var p problems
	p.tenant(s.TenantID)
	p.exportID(s.ExportID)
	p.id("event_id", s.EventID, true)
	p.instant("time", s.Time, true)
	known := false
	for _, state := range States() {
		known = known || s.State == state
	}
	if !known {
		p.add("state", "%q is unknown", shorten(string(s.State)))
	}
	s.checkNames(&p)
	return p.err()
}

// PartEventID is the EventID of a stored part.
func PartEventID(number int) string { return fmt.Sprintf(partEvent+"%06d", number) }

// partEvent is what ids of events of stored parts begin with.
const partEvent = "part/"
