package pipeline

import (
	"bytes"
	"encoding/json"

	"cdds/schemas"
)

// storedRequest is a request within an Acceptance. While two releases run side by side, a
// worker can take over an export that a newer one accepted. Documents of the bucket are read
// with unknown members ignored, so it would export what a limit it does not know leaves out:
// everybody's data instead of one person's. A request with such limits is therefore stored as
// a text, which holds the JSON. An older worker cannot read that and fails the export, which can
// be retried once all workers are of this release. This one reads the text strictly: a limit
// that comes later fails here, too.
type storedRequest schemas.ExportRequest

// MarshalJSON writes an object, or a text.
func (s *storedRequest) MarshalJSON() ([]byte, error) {
	r := (*schemas.ExportRequest)(s)
	object, err := schemas.Encode(r)
	if err != nil || !r.Strict() {
		return object, err
	}
	return json.Marshal(string(object))
}

// UnmarshalJSON reads either.
func (s *storedRequest) UnmarshalJSON(b []byte) error {
	r := (*schemas.ExportRequest)(s)
	if !bytes.HasPrefix(b, []byte(`"`)) {
		return schemas.Read(b, r)
	}
	var object string
	if err := schemas.Read(b, &object); err != nil {
		return err
	}
	return schemas.ReadKnown([]byte(object), r)
}
