package retention_test

import (
	"testing"
	"time"

	"cdds/ops/retention"
	"cdds/schemas"
)

func TestArtifactsAreDueAtTheInstantTheManifestNamesAndNotBefore(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	completed := func(expires time.Time) schemas.Export {
		return schemas.Export{State: schemas.Completed, EndedAt: schemas.TimeOf(now.Add(-90 * day)), Completion: &schemas.Completion{ExpiresAt: schemas.TimeOf(expires)}}
	}
	ended := func(s schemas.State, at time.Time) schemas.Export {
		return schemas.Export{State: s, EndedAt: schemas.TimeOf(at)}
	}
	for name, c := range map[string]struct {
		export schemas.Export
		want   bool
	}{
		"a millisecond before":             {completed(now.Add(time.Millisecond)), false},
		"at the instant":                   {completed(now), true},
		"long after":                       {completed(now.Add(-365 * day)), true},
		"completed, expiry unknown":        {schemas.Export{State: schemas.Completed}, false},
		"failed within its lifetime":       {ended(schemas.Failed, now.Add(-30*day+time.Millisecond)), false},
		"failed a lifetime ago":            {ended(schemas.Failed, now.Add(-30*day)), true},
		"failed, nobody knows when":        {schemas.Export{State: schemas.Failed}, false},
		"running for a year":               {schemas.Export{State: schemas.Running, RequestedAt: schemas.TimeOf(now.Add(-365 * day))}, false},
		"cancelled a year ago: empty":      {ended(schemas.Cancelled, now.Add(-365*day)), false},
		"expired already":                  {ended(schemas.Expired, now.Add(-365*day)), false},
		"refused: there was never a thing": {ended(schemas.Refused, now.Add(-365*day)), false},
	} {
		if got := retention.Due(c.export, 30*day, now); got != c.want {
			t.Errorf("%s: due is %t", name, got)
		}
	}
}
