//go:build !receiver

package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestDoctorSaysWhatBecomesOfPseudonymsWhenTheirSecretIsLostOrChanged(t *testing.T) {
	secret, other := bytes.Repeat([]byte("s"), schemas.MinPseudonymKey), bytes.Repeat([]byte("t"), schemas.MinPseudonymKey)
	key, err := schemas.NewPseudonymKey(secret, "acme")
	if err != nil {
		t.Fatal(err)
	}
	jobs := []schemas.Job{{JobID: "nightly", TenantID: "acme"}, {JobID: "new", TenantID: "acme"}}
	last := func(j schemas.Job) (string, error) {
		if j.JobID == "new" {
			return "", nil
		}
		return key.ID(), nil
	}
	for name, c := range map[string]struct {
		jobs    []schemas.Job
		secret  []byte
		healthy bool
		says    string
	}{
		"none that makes any": {nil, nil, true, "no job makes any"},
		"the same secret":     {jobs, secret, true, "2 jobs make pseudonyms with the key of their last run"},
		"a lost secret":       {jobs, nil, false, "export.pseudonym_secret is not configured"},
		"another secret":      {jobs, other, true, "the secret was changed: 1 job, such as acme/nightly (key " + key.ID()},
	} {
		detail, err := compareKeys(c.jobs, c.secret, last)
		if err != nil {
			detail = err.Error()
		}
		if (err == nil) != c.healthy || !strings.Contains(detail, c.says) || strings.Contains(detail, string(secret)) {
			t.Errorf("%s: healthy %t, %q", name, err == nil, detail)
		}
	}
	away := errors.New("the bucket is away")
	if _, err := compareKeys(jobs, secret, func(schemas.Job) (string, error) { return "", away }); !errors.Is(err, away) {
		t.Errorf("error = %v", err)
	}
}
