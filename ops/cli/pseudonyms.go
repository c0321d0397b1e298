//go:build !receiver

package cli

import (
	"context"
	"fmt"

	"cdds/pipeline"
	"cdds/schemas"
)

// maxKeysCompared bounds the jobs whose last run doctor compares keys with.
const maxKeysCompared = 100

// checkPseudonyms compares the key of pseudonyms that is configured with those of the jobs' last
// runs.
func checkPseudonyms(ctx context.Context, s *services) (detail string, err error) {
	err = readDefinitions(ctx, s, func(d *defined) error {
		var jobs []schemas.Job
		var keys []string
		for _, j := range d.Jobs("") {
			if j.FieldPolicy.Pseudonyms(j.Entity) > 0 {
				jobs, keys = append(jobs, j), append(keys, j.Key())
			}
		}
		runs, err := s.ledger.RecentRuns(ctx, keys[:min(len(keys), maxKeysCompared)], 1)
		if err != nil {
			return err
		}
		decided := pipeline.Decisions{Store: s.bucket}
		detail, err = compareKeys(jobs, []byte(s.config.Export.PseudonymSecret.Reveal()), func(j schemas.Job) (string, error) {
			for _, run := range runs[j.Key()] {
				a, _, err := decided.Accepted(ctx, j.TenantID, run.ExportID)
				return a.PolicyKeyID, err
			}
			return "", nil
		})
		return err
	})
	return detail, err
}

// compareKeys says what becomes of the jobs that make pseudonyms. last is the id of the key of a
// job's last run, empty if it made none. It is an error if there is no secret.
func compareKeys(jobs []schemas.Job, secret []byte, last func(schemas.Job) (string, error)) (string, error) {
	if len(jobs) == 0 {
		return "no job makes any", nil
	}
	counted, first := schemas.Counted(len(jobs), "job"), jobs[0].Key()
	if len(secret) == 0 {
		return "", fmt.Errorf("%s, such as %s, replace members by pseudonyms, and export.pseudonym_secret is not configured: their runs are refused; bring the secret back from where you keep it, or, if it is lost, configure a new one: pseudonyms are others then, and chains start over", counted, first)
	}
	changed, example := 0, ""
	for i, j := range jobs {
		if i == maxKeysCompared {
			break
		}
		key, err := schemas.NewPseudonymKey(secret, j.TenantID)
		if err != nil {
			return "", err
		}
		was, err := last(j)
		if err != nil {
			return "", err
		}
		if was != "" && was != key.ID() {
			if changed++; changed == 1 {
				example = fmt.Sprintf("%s (key %s, now %s)", j.Key(), was, key.ID())
			}
		}
	}
	if changed > 0 {
		return fmt.Sprintf("the secret was changed: %s, such as %s, will make other pseudonyms than in the last run, and a chain starts over; if that is not meant, bring the earlier export.pseudonym_secret back before they run", schemas.Counted(changed, "job"), example), nil
	}
	if len(jobs) > maxKeysCompared {
		counted = fmt.Sprintf("%d of %s", maxKeysCompared, schemas.Counted(len(jobs), "job"))
	}
	return counted + " make pseudonyms with the key of their last run", nil
}
