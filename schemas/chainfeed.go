package schemas

// ChainRuns are runs of a job's chain, for those who follow it.
type ChainRuns struct {
	JobID string `json:"job_id"`
	// Entity is that of the job's rows.
	Entity string     `json:"entity"`
	Runs   []ChainRun `json:"runs"`
}

// ChainRun is what the feed of a chain says of a run. Only its signed manifest proves it.
type ChainRun struct {
	Number   int    `json:"number"`
	ExportID string `json:"export_id"`
	// PreviousExportID is absent of a run that starts over.
	PreviousExportID string `json:"previous_export_id,omitempty"`
	ManifestSHA256   string `json:"manifest_sha256"`
	CompletedAt      Time   `json:"completed_at"`
	// ExpiresAt is when its artifacts go; Gone says that they are.
	ExpiresAt Time   `json:"expires_at"`
	Gone      bool   `json:"gone,omitempty"`
	Totals    Totals `json:"totals"`
}

// Whole reports whether a receiver starts over with the run.
func (r ChainRun) Whole() bool { return r.PreviousExportID == "" }

// APIPrefix is the path of the HTTP API on a server.
const APIPrefix = "/api/v1"

// JobRun is what the scheduler knows of a run of a job.
type JobRun struct {
	ExportID string
	State    State
	// ScheduledAt is when it was due.
	ScheduledAt Time
}
