package retention

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/answer"
	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// Sweep compares bucket and history. It removes or corrects nothing on a guess: history
// must hold what Kafka has, a disagreement must be older than the grace, be seen again a
// grace after it was first seen, and be one the bucket's own documents bear out. Too many
// at once stop it until an operator has looked (`cdds retention`). The error joins what
// failed.
func (k *Keeper) Sweep(ctx context.Context) (Report, error) {
	var report Report
	if err := k.awaitHistory(ctx); err != nil {
		return report, err
	}
	var problems problems
	found, compared, err := k.compare(ctx, &problems)
	if err != nil {
		return report, err
	}
	now := k.Now()
	k.seen.note(found, now, problems.err() == nil)
	stop, stopped, err := k.stopped(ctx, found, compared)
	problems.add(err)
	if stopped {
		report.Stopped = stop.Exports
		k.Logger.Error("retention is stopped: bucket and history disagree about more exports than it settles by itself; `cdds retention` shows them",
			"exports", stop.Exports, "of", compared, "orphans", stop.Orphans, "lost", stop.Lost)
	}
	k.stoppedExports.Set(float64(report.Stopped))
	left := map[kind][]string{}
	for _, f := range found {
		if f.kind != unproven && k.seen.since(f, now.Add(-k.Grace)) && (!stopped || f.kind.proven()) {
			err := k.settle(ctx, f, &report)
			if err == nil {
				continue
			}
			if answer.Of(err) == answer.Locked { // nothing that we could do about it
				k.Logger.Warn("the store keeps objects that are to go until a lock that is not ours is lifted", "tenant", f.tenant, "export_id", f.export, "error", err)
			} else {
				problems.add(err)
			}
		}
		left[f.kind] = append(left[f.kind], f.tenant+"/"+f.export)
	}
	for _, kind := range kinds {
		k.disagreements.WithLabelValues(string(kind)).Set(float64(len(left[kind])))
	}
	if list := left[unproven]; len(list) > 0 {
		k.Logger.Warn("bucket and history disagree, and neither is corrected", "exports", len(list), "some", list[:min(len(list), examples)])
	}
	return report, problems.err()
}

// compare returns every disagreement that is older than the grace, and how many exports
// were compared. What fails for one export is added to problems.
func (k *Keeper) compare(ctx context.Context, problems *problems) (found []finding, compared int, err error) {
	take := func(f finding, err error) {
		problems.add(err)
		if f.kind != "" {
			found = append(found, f)
		}
	}
	stored, completed := 0, 0
	var page [][2]string // asked for together: a question for each of a million takes hours
	look := func() error {
		states, err := k.History.States(ctx, page)
		if err != nil {
			return err
		}
		for _, id := range page {
			take(k.stored(ctx, id[0], id[1], states[id]))
		}
		stored, page = stored+len(page), page[:0]
		return ctx.Err()
	}
	for tenant, err := range k.Objects.Folders(ctx, "") {
		if err != nil {
			return nil, 0, err
		}
		for prefix, err := range k.Objects.Folders(ctx, tenant) {
			if err != nil {
				return nil, 0, err
			}
			ids := strings.Split(prefix, "/")
			if len(ids) != 3 || (&schemas.ExportRequest{TenantID: ids[0], ExportID: ids[1]}).CheckIDs() != nil {
				continue // not an export's
			}
			if page = append(page, [2]string{ids[0], ids[1]}); len(page) == pageSize {
				if err := look(); err != nil {
					return nil, 0, err
				}
			}
		}
	}
	if err := look(); err != nil {
		return nil, 0, err
	}
	var whole []schemas.Export // whose parts are read together, up to a number of parts
	parts := 0
	check := func() error {
		if err := k.addParts(ctx, whole); err != nil {
			return err
		}
		for _, e := range whole {
			take(k.completed(ctx, e))
		}
		completed, whole, parts = completed+len(whole), whole[:0], 0
		return ctx.Err()
	}
	err = k.each(ctx, []schemas.State{schemas.Completed}, func(e schemas.Export) error {
		whole, parts = append(whole, e), parts+e.Done.Parts
		if len(whole) < pageSize && parts < partsHeld {
			return nil
		}
		return check()
	})
	err = errors.Join(err, check())
	return found, max(stored, completed), err
}

// stored looks from the bucket's side at what is stored of one export, of which history
// says that it is in a state; "" where it does not know it.
func (k *Keeper) stored(ctx context.Context, tenantID, exportID string, state schemas.State) (none finding, err error) {
	known := state != ""
	if known && !emptied(state) && !underWay(state) {
		return none, nil
	}
	objects, err := k.Objects.Remains(ctx, schemas.ExportPrefix(tenantID, exportID))
	if err != nil {
		return none, err
	}
	since := k.Now().Add(-k.Grace)
	artifacts, own := 0, 0
	var newest time.Time
	for _, o := range objects {
		if o.Modified.After(newest) {
			newest = o.Modified
		}
		if o.Modified.After(since) {
			return none, nil // somebody is at work
		}
		if name := nameOf(o); schemas.IsArtifact(exportID, name) {
			artifacts++
			own++
		} else if pipeline.IsOwn(exportID, name) {
			own++
		}
	}
	unseen := known && underWay(state)
	if known && artifacts == 0 && !unseen || own == 0 {
		return none, nil
	}
	standing, err := k.Artifacts.Standing(ctx, tenantID, exportID)
	accepted := standing.Accepted != nil || standing.Manifest != nil
	if err != nil || accepted && artifacts == 0 && !unseen { // decisions outlive artifacts
		return none, err
	}
	over := standing.Over(k.Now(), k.Lifetime(tenantID))
	f := finding{tenant: tenantID, export: exportID}
	switch {
	case over && (unseen || state == schemas.Refused && accepted): // a message about it was refused, not the export
		over, err := k.overUnseen(ctx, f, standing, newest)
		if err != nil || !over {
			return none, err
		}
		f.kind, f.why = ended, fmt.Sprintf("history says that it is %s; the bucket says that it has ended and that its time is over", state)
	case unseen && (!standing.Cancelled || artifacts == 0):
		return none, nil
	case known && (standing.Cancelled || over):
		f.kind, f.why = leftover, fmt.Sprintf("history says that it is %s; the bucket still has %s", state, schemas.Counted(artifacts, "artifact"))
	case known:
		f.kind, f.why = unproven, fmt.Sprintf("history says that it is %s; the bucket does not", state)
	case !accepted || standing.Cancelled || over:
		f.kind, f.why = orphan, fmt.Sprintf("history does not know it; the bucket has %s", schemas.Counted(own, "object"))
	default:
		f.kind, f.why = unproven, "history does not know it; the bucket says that it was accepted and its time is not over"
	}
	return f, nil
}

// overUnseen reports whether an export whose time is over has ended, though history does not know
// that. One that has not ended and was not given up may be at work yet. One that was given up is
// over when its lifetime has passed since then, which is when it was changed last.
func (k *Keeper) overUnseen(ctx context.Context, f finding, s pipeline.Standing, newest time.Time) (bool, error) {
	if s.Manifest != nil || s.Ended != "" {
		return true, nil
	}
	if k.Now().Before(newest.Add(k.Lifetime(f.tenant))) {
		return false, nil
	}
	return k.Artifacts.GivenUp(ctx, f.tenant, f.export)
}

// partsHeld is how many parts a sweep holds, but for those of one export.
const partsHeld = 20_000

// addParts adds to exports their stored parts, as far as it takes to know their files.
func (k *Keeper) addParts(ctx context.Context, exports []schemas.Export) error {
	if len(exports) == 0 {
		return nil
	}
	ids, of := make([][2]string, len(exports)), make(map[[2]string]*schemas.Export, len(exports))
	for i := range exports {
		e := &exports[i]
		ids[i] = [2]string{e.TenantID, e.ExportID}
		e.Parts, of[ids[i]] = nil, e
	}
	return k.History.EachPart(ctx, ids, func(id [2]string, r schemas.Receipt) error {
		part := schemas.Receipt{Part: schemas.Part{Number: r.Number, Kind: r.Kind}, Name: r.Name, Segments: make([]schemas.Segment, len(r.Segments))}
		of[id].Parts = append(of[id].Parts, part)
		return nil
	})
}

// completed looks from history's side whether a completed export is all there. It comes with
// its parts.
func (k *Keeper) completed(ctx context.Context, e schemas.Export) (none finding, err error) {
	if e.UpdatedAt.After(k.Now().Add(-k.Grace)) {
		return none, nil
	}
	objects, err := k.Objects.List(ctx, schemas.ExportPrefix(e.TenantID, e.ExportID))
	if err != nil {
		return none, err
	}
	listed := newFiles(e, objects)
	for _, r := range e.Parts {
		listed.part(r)
	}
	if listed.gone == 0 {
		return none, nil
	}
	// What was read of history may be what it said before somebody removed them.
	now, _, err := k.History.Export(ctx, e.TenantID, e.ExportID)
	if err != nil || now.State != schemas.Completed {
		return none, err
	}
	standing, err := k.Artifacts.Standing(ctx, e.TenantID, e.ExportID)
	if err != nil {
		return none, err
	}
	f := finding{kind: lost, tenant: e.TenantID, export: e.ExportID}
	switch {
	case len(objects) == 0:
	case standing.Cancelled:
		f.kind, f.why = ended, fmt.Sprintf("history says that it is completed; the bucket says that it is %s", standing.Ended)
		return f, nil
	case !standing.Completed():
		f.kind, f.why = unproven, "history says that it is completed; the bucket does not"
		return f, nil
	case standing.Manifest != nil: // which is signed, and so counts before what events say
		signed := newFiles(e, objects)
		err := k.Artifacts.Receipts(ctx, e.TenantID, e.ExportID, func(r schemas.Receipt) error { signed.part(r); return nil })
		if err != nil {
			return none, err
		}
		if signed.gone == 0 {
			f.kind, f.why = unproven, "history has parts that the manifest does not list"
			return f, nil
		}
		listed = signed
	}
	f.why = fmt.Sprintf("lost: the bucket lacks %d of its %s; request it again under a new id with the same snapshot", listed.gone, schemas.Counted(listed.all, "object"))
	return f, nil
}

// settle ends a disagreement, unless it has changed since it was looked at.
func (k *Keeper) settle(ctx context.Context, f finding, report *Report) error {
	e, _, err := k.History.Export(ctx, f.tenant, f.export)
	if err != nil {
		return err
	}
	var again finding
	if e.State == schemas.Completed {
		one := []schemas.Export{e}
		if err := k.addParts(ctx, one); err != nil {
			return err
		}
		again, err = k.completed(ctx, one[0])
	} else {
		again, err = k.stored(ctx, f.tenant, f.export, e.State)
	}
	if err != nil || again != f {
		return err
	}
	if held, err := k.held(ctx, f.tenant, f.export); err != nil || held {
		return err
	}
	log := k.Logger.With("tenant", f.tenant, "export_id", f.export, "why", f.why)
	switch f.kind {
	case leftover:
		if err := k.Artifacts.Discard(ctx, f.tenant, f.export); err != nil {
			return err
		}
		log.Warn("removed artifacts of an export that has none")
		report.Leftovers++
		k.leftovers.Inc()
	case orphan:
		return k.removeOrphan(ctx, f, report)
	case ended, lost:
		if err := k.remove(ctx, e, f.why); err != nil {
			return err
		}
		if f.kind == ended {
			log.Warn("history had missed the end of an export")
			report.Ended++
			return nil
		}
		log.Error("a completed export was not whole")
		report.Lost++
		k.lost.Inc()
	}
	return nil
}

// removeOrphan removes what is stored of an export that history does not know. Where the
// bucket says what it was, its decisions stay and history learns of it.
func (k *Keeper) removeOrphan(ctx context.Context, f finding, report *Report) error {
	objects, err := k.Objects.Remains(ctx, schemas.ExportPrefix(f.tenant, f.export))
	if err != nil {
		return err
	}
	standing, err := k.Artifacts.Standing(ctx, f.tenant, f.export)
	if err != nil {
		return err
	}
	if standing.Accepted != nil || standing.Manifest != nil {
		e := schemas.Export{TenantID: f.tenant, ExportID: f.export}
		if err := k.remove(ctx, e, "its artifacts were kept as long as agreed; history had lost it"); err != nil {
			return err
		}
		report.Expired++
		k.expired.Inc()
		return nil
	}
	// The manifest first, so that nothing ever claims parts that are gone.
	var first, rest []string
	for _, o := range objects {
		switch {
		case !pipeline.IsOwn(f.export, nameOf(o)):
		case order(o) == 0:
			first = append(first, o.Key)
		default:
			rest = append(rest, o.Key)
		}
	}
	err = pipeline.RemoveFiles(ctx, k.Objects, first, rest)
	removed := len(first) + len(rest)
	if kept := (*pipeline.KeptError)(nil); errors.As(err, &kept) {
		removed -= kept.Files
	} else if err != nil {
		return err
	}
	report.Orphans += removed
	k.orphans.Add(float64(removed))
	if err != nil {
		return err
	}
	k.Logger.Warn("removed objects of an export that neither history nor the bucket knows", "tenant", f.tenant, "export_id", f.export)
	return nil
}

// emptied reports whether an export in this state has no artifacts any more.
func emptied(s schemas.State) bool {
	return s.Ended() && s != schemas.Completed && s != schemas.Failed
}

// underWay reports whether history knows no end of an export in this state. It may have missed
// that: a backup of ClickHouse and a Kafka that keeps events for a shorter time leave this.
func underWay(s schemas.State) bool { return !s.Ended() }

// nameOf is the file name of an object: what follows tenant and export, so that an
// object further down has none of ours.
func nameOf(o bucket.Object) string {
	_, name, _ := strings.Cut(o.Key, "/")
	_, name, _ = strings.Cut(name, "/")
	return name
}

func order(o bucket.Object) int {
	if name := nameOf(o); name == schemas.ManifestName || name == schemas.SignatureName {
		return 0
	}
	return 1
}
