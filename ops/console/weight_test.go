package console_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cdds/ops/admin"
	"cdds/schemas"
)

// mostWeight is how many bytes a page may have, however much there is.
const mostWeight = 150 << 10

func TestNoPageIsHeavyHoweverMuchThereIs(t *testing.T) {
	const rows, definitions = 10_000, 1000
	d := newDesk(t, "heavy", rows, definitions)
	now := schemas.TimeOf(time.Date(2026, 11, 1, 11, 59, 0, 0, time.UTC))
	long := func(n int) string { return fmt.Sprintf("%06d-%s", n, strings.Repeat("x", 40)) }
	var deliveries schemas.Batch[*schemas.WebhookDelivery]
	var trail schemas.Batch[*schemas.AuditRecord]
	for n := range rows {
		deliveries.Records = append(deliveries.Records, schemas.Record[*schemas.WebhookDelivery]{Offset: int64(n), Event: &schemas.WebhookDelivery{
			TenantID: "heavy", JobID: "job-001", ExportID: long(n), WebhookID: "evt_" + long(n), Event: "export.completed", Attempt: 1, Time: now,
			Outcome: schemas.DeliveryGivenUp, StatusCode: 503, Reason: "the receiver answered 503; it must answer 2xx, and redirects are not followed",
		}})
		trail.Records = append(trail.Records, schemas.Record[*schemas.AuditRecord]{Offset: int64(n), Event: &schemas.AuditRecord{
			TenantID: "heavy", AuditID: long(n), Actor: "ada (user/ada)", Action: "export.create", Subject: long(n), Outcome: schemas.OutcomeDone, Detail: strings.Repeat("detail ", 20), Time: now,
		}})
	}
	check(t, d.ledger.InsertDeliveries(t.Context(), deliveries))
	check(t, d.ledger.InsertAudit(t.Context(), trail))
	fingerprints := d.certificates(definitions)
	for n, fingerprint := range fingerprints {
		d.define(schemas.Job{
			TenantID: "heavy", JobID: fmt.Sprintf("hooked-%04d", n), Title: long(n), Entity: schemas.EntityInteraction, State: schemas.JobActive, Schedule: schemas.Schedule{Run: schemas.RunDaily},
			Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll}, Recipients: []string{fingerprint}, Webhook: &schemas.Webhook{URL: "https://hooks.example/" + long(n), SecretVersion: 1},
		}.Revised(nil, "ada", now))
		d.hold(fmt.Sprintf("hold-%04d", n), long(n), func(h *schemas.Hold) { h.Contacts = []string{long(n)} })
	}
	d.hold("wide", "Wide", func(h *schemas.Hold) {
		for n := range 2000 {
			h.Contacts = append(h.Contacts, long(n))
		}
	})
	for _, topic := range []schemas.Topic{schemas.TopicInteractions, schemas.TopicContacts} {
		for n := range 50 * 32 {
			letter := dead(topic, int64(n), []byte(strings.Repeat("<", 300)), now)
			letter.Value = admin.Escaped([]byte(strings.Repeat("<", 160)))
			d.letters = append(d.letters, letter)
		}
	}
	weigh := func(paths ...string) {
		t.Helper()
		for _, path := range paths {
			page := d.get(path)
			t.Logf("%6d bytes  %s", len(page), path)
			if len(page) > mostWeight {
				t.Errorf("%s has %d bytes, more than %d", path, len(page), mostWeight)
			}
		}
	}
	weigh("/", "/jobs", "/jobs/job-001", "/jobs/new", "/history", "/history/export-0001", "/artifacts", "/webhooks", "/webhooks?jobs=6", "/certificates", "/certificates/"+fingerprints[1],
		"/privacy", "/privacy/access", "/privacy/holds", "/privacy/holds/wide", "/exports/new", "/audit", "/access")
	d.who.Tenant, d.tenant = schemas.AllTenants, schemas.AllTenants
	weigh("/", "/tenants", "/letters", "/letters?topic=cdds.contacts", "/health", "/account")
}
