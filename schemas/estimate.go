package schemas

// Estimate is what an export would hold if it was requested now. It has no content.
type Estimate struct {
	TenantID string `json:"tenant_id"`
	Entity   string `json:"entity"`
	// Parts, Rows, JSONLBytes, Attachments and AttachmentBytes are exact as of what is stored;
	// nothing is published to find them.
	Parts           int   `json:"parts"`
	Rows            int64 `json:"rows"`
	JSONLBytes      int64 `json:"jsonl_bytes"`
	Attachments     int64 `json:"attachments"`
	AttachmentBytes int64 `json:"attachment_bytes"`
	// First and Last are the times of the first and the last row.
	First Time `json:"first,omitzero"`
	Last  Time `json:"last,omitzero"`
	// MediaTypes counts the rows of each media type; none of contacts.
	MediaTypes map[string]int64 `json:"media_types,omitempty"`
	// Behind is how many published records of all tenants are not stored yet: an export waits
	// for them, and may hold some.
	Behind int64 `json:"behind"`
	// Expected is how large the artifacts will be and how long the export will take, at the rate
	// of recent exports; nil if nothing is known of them.
	Expected *Expected `json:"expected,omitempty"`
}

// Expected is guessed from exports that completed.
type Expected struct {
	SealedBytes int64 `json:"sealed_bytes"`
	// Seconds is 0 if the export is much larger than all of those were.
	Seconds float64 `json:"seconds,omitempty"`
	// Exports is how many it is guessed from.
	Exports int `json:"exports"`
}

// far is how many times larger than the largest recent export another one may be for its
// duration to be guessed.
const far = 100

// Expect guesses from completed exports of a tenant that were sealed as r is to be. The size
// follows from all of them, the duration from the rate of the largest: small ones wait more
// than they work.
func (e *Estimate) Expect(r *ExportRequest, completed []Export) {
	var largest, bytes, sealed int64
	var rate float64
	shortest := 0.0
	n := 0
	for _, c := range completed {
		content := c.Done.JSONLBytes + c.Done.AttachmentBytes
		took := c.EndedAt.Sub(c.PlannedAt.Time).Seconds()
		if c.State != Completed || c.Request == nil || c.Request.Sealing() != r.Sealing() || content <= 0 || took <= 0 || c.PlannedAt.IsZero() {
			continue
		}
		n++
		bytes, sealed = bytes+content, sealed+c.Done.SealedBytes
		if content > largest {
			largest, rate = content, float64(content)/took
		}
		if shortest == 0 || took < shortest {
			shortest = took
		}
	}
	if n == 0 {
		return
	}
	content := e.JSONLBytes + e.AttachmentBytes
	e.Expected = &Expected{SealedBytes: int64(float64(content) * float64(sealed) / float64(bytes)), Exports: n}
	if content <= far*largest {
		e.Expected.Seconds = max(float64(content)/rate, shortest)
	}
}
