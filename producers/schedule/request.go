package schedule

import (
	"fmt"

	"github.com/oklog/ulid/v2"

	"cdds/schemas"
)

// RunID is the export id of the run of a job that is due at an instant: always the same,
// so that whoever asks for it, and however often, it is one export.
func RunID(jobID string, at schemas.Time) string {
	return jobID + "-" + at.UTC().Format("20060102T150405") + "Z"
}

// Request is the export of the run of a job that was due at an instant. Equal arguments give
// equal requests, except for the time they are made.
func Request(j schemas.Job, at schemas.Time) *schemas.ExportRequest {
	r := &schemas.ExportRequest{
		TenantID: j.TenantID, ExportID: RunID(j.JobID, at), Entity: j.Entity,
		MediaTypes: j.MediaTypes, Match: j.Match,
		SplitSize: j.SplitSize, Encoding: j.Encoding, Cipher: j.Cipher, KeyTransport: j.KeyTransport,
		Compression: j.Compression, Attachments: j.Attachments, RetentionDays: j.RetentionDays,
		FieldPolicy: j.FieldPolicy, Names: j.Names, JobID: j.JobID, ScheduledAt: at, RequestedBy: "job " + j.JobID,
	}
	r.From, r.To = schemas.Ever()
	for _, f := range j.Recipients {
		r.Recipients = append(r.Recipients, schemas.Recipient{Fingerprint: f})
	}
	switch j.Timeframe.Kind {
	case schemas.TimeframeFixed:
		r.From, r.To = j.Timeframe.From, j.Timeframe.To
	case schemas.TimeframeLastDays:
		r.From, r.To = schemas.TimeOf(daysBefore(j.Schedule, at.Time, j.Timeframe.Days)), at
	case schemas.TimeframeSinceLastRun:
		r.Chained, r.ChainFrom = true, latestTime(j.CreatedAt, j.ChainFrom)
	}
	return r
}

// RunNow is the export of a run of a job at now, whatever its schedule. It does not
// request it. Of runs of a chain that are at work together one completes, and the others are
// requested again after it.
func RunNow(j schemas.Job, now schemas.Time) *schemas.ExportRequest {
	r := Request(j, now)
	r.ExportID, r.RequestedAt = fmt.Sprintf("%s-%s", j.JobID, ulid.Make()), now
	return r
}

func latestTime(a, b schemas.Time) schemas.Time {
	if b.After(a.Time) {
		return b
	}
	return a
}
