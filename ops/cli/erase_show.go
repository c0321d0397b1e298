//go:build !receiver

package cli

import (
	"fmt"
	"strings"

	"cdds/schemas"
)

func (s *session) showErasure(e schemas.Erasure) {
	if e.State == schemas.ErasureNothingFound {
		s.print("erasure %s found nothing", e.Request.ErasureID)
		if e.NotFound < e.Requested {
			s.print(" of %s of %s; nothing was removed", schemas.Grouped(int64(e.NotFound)), schemas.Counted(e.Requested, "subject"))
		}
		s.print("\n")
		s.showSubjects(e)
		return
	}
	s.print("erasure %s is %s\n", e.Request.ErasureID, e.State)
	if e.Waiting != "" {
		s.print("%s\n", e.Waiting)
	}
	if e.State != schemas.ErasureDone {
		return
	}
	s.print("%s removed; exports with artifacts that hold some: %d\n", schemas.Counted(e.Rows, "version"), len(e.Exports))
	if e.Reason != "" {
		s.print("%s\n", e.Reason)
	}
	s.showSubjects(e)
	s.showHolding(e.Exports)
}

// shownSubjects is how many subjects are listed for people; --json lists all.
const shownSubjects = 50

// showSubjects lists what became of each subject of a list, those not found first.
func (s *session) showSubjects(e schemas.Erasure) {
	if len(e.Subjects) < 2 {
		return
	}
	rows := [][]string{{"KIND", "ID", "OUTCOME", "VERSIONS", "SIMILAR IDS"}}
	for _, missing := range []bool{true, false} {
		for _, o := range e.Subjects {
			if (o.Outcome == schemas.ErasureNothingFound) == missing && len(rows) <= shownSubjects {
				rows = append(rows, []string{o.Kind, o.ID, outcomeWords[o.Outcome], schemas.Grouped(o.Rows), strings.Join(quoted(o.Similar), " ")})
			}
		}
	}
	s.table(rows)
	if more := len(e.Subjects) - shownSubjects; more > 0 {
		s.print("and %s more; --json lists all\n", schemas.Grouped(int64(more)))
	}
}

var outcomeWords = map[string]string{
	schemas.SubjectFound: "found, not removed", schemas.ErasureDone: "done", schemas.ErasureNothingFound: "nothing found",
}

func quoted(ids []string) (all []string) {
	for _, id := range ids {
		all = append(all, fmt.Sprintf("%q", id))
	}
	return all
}

// showHolding lists the exports that hold some of what was erased.
func (s *session) showHolding(exports []schemas.AffectedExport) {
	if len(exports) == 0 {
		return
	}
	rows := [][]string{{"EXPORT", "STATE", "ROWS", "FILES", "EXPIRES", "DELETION"}}
	for _, x := range exports {
		deletion := "not requested"
		if x.Deleted {
			deletion = "requested"
		}
		rows = append(rows, []string{x.ExportID, string(x.State), schemas.Grouped(x.Rows), fmt.Sprint(len(x.Parts)), x.ExpiresAt.String(), deletion})
	}
	s.table(rows)
	for _, x := range exports {
		s.print("\n%s: %s\n", x.ExportID, strings.Join(x.Parts, ", "))
		for _, c := range x.Recipients {
			s.print("  sealed for %s, certificate %s\n", c.Subject, c.Fingerprint)
		}
		for _, d := range x.Downloads {
			s.print("  downloaded by %s, %s from %s to %s\n", d.By, schemas.Counted(d.Times, "time"), d.First, d.Last)
		}
	}
}
