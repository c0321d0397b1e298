package app_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/ops/app"
	"cdds/ops/cli"
	"cdds/ops/connect"
	"cdds/ops/provision"
	"cdds/ops/retention"
	"cdds/schemas"
)

// sql runs a statement about the database itself, from outside of it.
func (w *world) sql(format string, args ...any) {
	w.t.Helper()
	c := w.config.ClickHouse
	c.Database = "default"
	conn, err := connect.ClickHouse(c)
	check(w.t, err)
	defer func() { _ = conn.Close() }()
	check(w.t, conn.Exec(w.t.Context(), fmt.Sprintf(format, args...)))
}

// doctor fails the test unless `cdds doctor` finds nothing, in the end.
func (w *world) doctor(dataDir string) {
	w.t.Helper()
	var said bytes.Buffer
	w.eventually(func() bool {
		said.Reset()
		return cli.Main([]string{"doctor", "--data-dir", dataDir}, strings.NewReader(""), &said, &said) == 0
	})
}

// TestAfterARestoreAnExportIsWhatItWasAndTheErasedStayErased is the drill of
// ops/docs/backup.md: one person is erased before the backup and one after it.
func TestAfterARestoreAnExportIsWhatItWasAndTheErasedStayErased(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	stop := w.run(app.Roles()...)
	erase := func(contact string) {
		t.Helper()
		w.publish(&schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-" + contact, ContactID: contact})
		if e := w.awaitErasure("acme", "case-"+contact); e.Rows != 3 {
			t.Fatalf("%d rows of %s were erased, want 3", e.Rows, contact)
		}
	}
	for n := range 3 {
		w.publish(of("eve", n), of("ada", 10+n), of("bob", 20+n))
	}
	erase("eve")
	w.publish(of("eve", 3)) // she calls again: a new fact
	w.publish(w.request("acme", "first"))
	w.await("acme", "first")
	database, backup := w.config.ClickHouse.Database, fmt.Sprintf("S3('http://%s/%s/backup/monday', '%s', '%s')",
		w.config.S3.Endpoint, w.config.S3.Bucket, w.config.S3.AccessKey, w.config.S3.SecretKey.Reveal())
	w.sql("BACKUP DATABASE %s TO %s", database, backup)
	erase("ada")
	w.publish(of("ada", 13))
	w.load("acme", 100, 300)
	r := w.request("acme", "before")
	r.SplitSize = 64 << 10
	w.publish(r)
	before := w.await("acme", "before")
	lines := w.open(before)
	if before.State != schemas.Completed || len(lines) != 3+2+200 || len(before.Parts) < 2 {
		t.Fatalf("before it is %s with %d rows in %d parts", before.State, len(lines), len(before.Parts))
	}
	w.doctor(dir)
	stop()
	artifacts := slices.Concat(w.artifactsIn("acme", "first"), w.artifactsIn("acme", "before"))
	ahead := 48 * time.Hour // to retention all of them are older than its grace
	keeper := w.keeperAt(func() time.Time { return time.Now().Add(ahead) })

	for _, drill := range []string{"backup", "nothing"} {
		t.Run("From"+drill, func(t *testing.T) {
			w.sql("DROP DATABASE %s SYNC", database)
			if drill == "backup" {
				w.sql("RESTORE DATABASE %s FROM %s", database, backup)
			} else {
				w.sql("CREATE DATABASE %s", database)
			}
			check(t, provision.All(t.Context(), w.admin, w.tables, w.bucket, w.config, func(string) {}))
			for _, group := range []string{schemas.GroupAudit, schemas.GroupDeliveries} {
				_, err := w.admin.DeleteGroup(t.Context(), group)
				check(t, err)
			}
			impatient, cancel := context.WithTimeout(t.Context(), time.Second)
			if report, err := keeper.Sweep(impatient); err == nil || report != (retention.Report{}) {
				t.Errorf("history has read nothing yet, and the sweep did %+v, %v", report, err)
			}
			cancel()
			stop := w.run("ingest")
			defer stop()
			w.awaitReady(http.StatusOK)
			defer w.run(slices.DeleteFunc(app.Roles(), func(role string) bool { return role == "ingest" })...)()
			r := *r
			r.ExportID, r.Snapshot = "after-"+drill, before.Snapshot
			w.publish(&r)
			after := w.await("acme", r.ExportID)
			if after.State != schemas.Completed || !slices.Equal(w.open(after), lines) || !slices.Equal(digests(after), digests(before)) {
				t.Errorf("the export is %s with %d rows of %d, %+v, or its content is another", after.State, after.Done.Rows, len(lines), after.Failure)
			}
			if n := w.count("SELECT count() FROM interactions WHERE interaction_id IN ('i-000000', 'i-000001', 'i-000002', 'i-000010', 'i-000011', 'i-000012')"); n != 0 {
				t.Errorf("%d rows of the erased are stored", n)
			}
			for _, contact := range []string{"eve", "ada"} {
				if e := w.awaitErasure("acme", "case-"+contact); e.Request.ContactID != contact || e.Rows != 3 {
					t.Errorf("of the erasure of %s is known: %+v", contact, e)
				}
			}
			for _, id := range []string{"first", "before"} {
				if e := w.await("acme", id); e.State != schemas.Completed {
					t.Errorf("history says that the export %s is %s", id, e.State)
				}
			}
			for range 2 {
				if report, err := keeper.Sweep(t.Context()); err != nil || report != (retention.Report{}) {
					t.Errorf("the sweep did %+v, %v", report, err)
				}
				ahead += 25 * time.Hour
			}
			if left := slices.Concat(w.artifactsIn("acme", "first"), w.artifactsIn("acme", "before")); !slices.Equal(left, artifacts) {
				t.Errorf("of the artifacts %v are left of %v", left, artifacts)
			}
			w.doctor(dir)
		})
	}
}

// digests are those of an export's zips.
func digests(e schemas.Export) (all []string) {
	for _, p := range e.Parts {
		all = append(all, p.ZipSHA256)
	}
	return all
}
