package console_test

import (
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

func TestTimesAreInTheZoneOfWhoeverReadsThem(t *testing.T) {
	d := newDesk(t, "zones", 1, 0) // of 1 November at noon, UTC
	before := schemas.TimeOf(time.Date(2026, 10, 31, 23, 30, 0, 0, time.UTC))
	d.save(schemas.Export{
		TenantID: "zones", ExportID: "earlier", State: schemas.Completed, Events: 1, RequestedAt: before, UpdatedAt: before, EndedAt: before,
		Request: &schemas.ExportRequest{TenantID: "zones", ExportID: "earlier", Entity: schemas.EntityContact},
	})
	for zone, want := range map[string][]string{
		"":                    {`title="2026-11-01 12:00:00 UTC">Today 12:00<`, ">Yesterday 23:30<", "times are UTC", "One-off export, 31 Oct 2026 23:30"},
		"Europe%2FBerlin":     {`title="2026-11-01 13:00:00 CET">Today 13:00<`, ">Today 00:30<", "times are Europe/Berlin", "One-off export, 1 Nov 2026 00:30"},
		"America%2FNew_York":  {">Today 07:00<", ">Yesterday 19:30<", "times are America/New York"},
		"..%2F..%2Fetc%2Fpwd": {"times are UTC"},
		"Local":               {"times are UTC"},
	} {
		d.zone = zone
		page := d.get("/history")
		for _, text := range want {
			if !strings.Contains(page, text) {
				t.Errorf("in %q the page lacks %q:\n%s", zone, text, page)
			}
		}
	}
	d.zone = "Pacific%2FKiritimati" // where noon is the next day
	if page := d.get("/history?from=2026-11-02&to=2026-11-02"); !strings.Contains(page, "export-0000") || strings.Contains(page, "/history/earlier") {
		t.Errorf("the day of a filter is not the reader's:\n%s", page)
	}
}
