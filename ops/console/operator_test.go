package console_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"cdds/ops/admin"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

func (d *desk) holds(path string, wanted ...string) string {
	d.t.Helper()
	page := d.get(path)
	for _, want := range wanted {
		if !strings.Contains(page, want) {
			d.t.Errorf("%s lacks %q:\n%s", path, want, page)
		}
	}
	return page
}

func TestTheAccountSaysWhatIsMissingAndWhatToDo(t *testing.T) {
	d := newDesk(t, "counted", 0, 0)
	d.who.Tenant, d.tenant = schemas.AllTenants, "counted" // the account is of all tenants
	d.holds("/account", "cdds.interactions", "Nothing was published to it yet.")
	d.accounts = map[schemas.Topic]warehouse.TopicAccount{
		schemas.TopicInteractions: {
			Partitions: []warehouse.PartitionAccount{{Partition: 3, Stored: 14674, DeadLetters: 2, Voids: 5, Erased: 14, AgedOut: 9, WrittenOff: 7, Missing: 11}},
			Gone:       []schemas.Run{{Partition: 3, First: 100, Next: 111}},
			WriteOffs:  []schemas.WriteOff{{Topic: schemas.TopicInteractions, Number: 1, By: "ada", Reason: "disk lost", Runs: []schemas.Run{{Partition: 3, First: 0, Next: 7}}}},
		},
		schemas.TopicContacts: {Partitions: []warehouse.PartitionAccount{{Stored: 3}}},
	}
	d.holds("/account", "14,674", `s-failed">11<`, "Neither ClickHouse nor Kafka has", "100", `href="/console/account/write-off?topic=cdds.interactions"`, "7 records by ada", "disk lost", "Nothing is missing.")
	d.accounts[schemas.TopicInteractions] = warehouse.TopicAccount{Partitions: []warehouse.PartitionAccount{{Missing: 1}}}
	d.holds("/account", "1 record that was stored is not in ClickHouse.")
}

func TestAWriteOffNamesTheLossAndIsConfirmed(t *testing.T) {
	d := newDesk(t, "lost", 0, 0)
	d.who.Tenant, d.tenant = schemas.AllTenants, "lost"
	const form = "/account/write-off?topic=cdds.interactions"
	d.holds(form, "Nothing is lost")
	lose := func(next int64) {
		d.accounts = map[schemas.Topic]warehouse.TopicAccount{schemas.TopicInteractions: {Gone: []schemas.Run{{Partition: 3, First: 100, Next: next}}}}
	}
	lose(111)
	shown := d.fields(d.holds(form, "Write off 11 records?", "11 at positions 100 to 110 of partition 3.", "It cannot be undone."))
	for problem, change := range map[string][2]string{"say why": {"reason", " "}, "confirm that": {"agreed", ""}, "has changed": {"loss", "another"}} {
		given := url.Values{"topic": shown["topic"], "loss": shown["loss"], "reason": {"disk lost"}, "agreed": {"1"}}
		given.Set(change[0], change[1])
		if page := d.send("/account/write-off", given); !strings.Contains(page, problem) || len(d.writeOffs) != 0 {
			t.Errorf("%v: the page lacks %q, and %d are written off:\n%s", change, problem, len(d.writeOffs), page)
		}
	}
	shown.Set("reason", "disk lost")
	shown.Set("agreed", "1")
	for _, who := range []struct{ tenant, role string }{{"lost", schemas.RoleAdministrator}, {schemas.AllTenants, schemas.RoleOperator}, {schemas.AllTenants, schemas.RoleViewer}} {
		d.who.Tenant, d.who.Role = who.tenant, who.role
		if page := d.send("/account/write-off", shown); !strings.Contains(page, "Access denied") || len(d.writeOffs) != 0 {
			t.Errorf("%v may write off:\n%s", who, page)
		}
	}
	d.who.Tenant, d.who.Role = schemas.AllTenants, schemas.RoleAdministrator
	lose(112)
	if page := d.send("/account/write-off", shown); !strings.Contains(page, "Write off 12 records?") || len(d.writeOffs) != 0 {
		t.Errorf("more is written off than was shown:\n%s", page)
	}
	lose(111)
	if to := d.ends("/account/write-off", shown); to != "/account?done=account.written_off" || len(d.writeOffs) != 1 {
		t.Fatalf("it ends at %q with %+v", to, d.writeOffs)
	}
	if w := d.writeOffs[0]; w.Records() != 11 || w.Reason != "disk lost" || w.By != "ada (user/ada)" {
		t.Errorf("written off is %+v", w)
	}
}

func TestDeadLettersAreShownEscapedWithTheReason(t *testing.T) {
	d := newDesk(t, "unread", 0, 0)
	d.who.Tenant, d.tenant = schemas.AllTenants, "unread"
	d.holds("/letters", "Every record could be read.")
	at := schemas.TimeOf(time.Date(2026, 11, 1, 11, 0, 0, 0, time.UTC))
	d.letters = []admin.DeadLetter{
		{Topic: schemas.TopicInteractions, Partition: 2, Offset: 41, Time: at, Code: "malformed", Reason: "not JSON <x>", Key: admin.Escaped([]byte("k")), Value: admin.Escaped([]byte("<script>\x00\xff ü")), Bytes: 13},
		{Topic: schemas.TopicContacts, Partition: 0, Offset: 7, Time: at, Reason: "too large", Value: admin.Escaped([]byte(strings.Repeat("a", 300))), Bytes: 1 << 20},
	}
	page := d.holds("/letters", "partition 2, offset 41", "Not JSON &lt;x&gt;", `&lt;script&gt;\x00\xff ü`, "malformed", "1,048,576 bytes", strings.Repeat("a", 240)+" …")
	if strings.Contains(page, strings.Repeat("a", 241)) {
		t.Error("more than the first bytes are shown")
	}
	if page := d.holds("/letters?topic=cdds.contacts", "Too large"); strings.Contains(page, "offset 41") {
		t.Error("the filter leaves another topic")
	}
	if audited := d.asked.audit; len(audited) != 3 || audited[1].Action != "letters.show" || audited[1].Detail != "2 records" {
		t.Errorf("the audit trail has %+v", audited)
	}
	d.who.Role = schemas.RoleOperator
	if page := d.refused("/letters"); strings.Contains(page, "offset 41") {
		t.Error("an operator sees customer data")
	}
}

func TestTheSecretOfAWebhookIsShownOnceAndItsDeliveriesAreListed(t *testing.T) {
	d := newDesk(t, "hooked", 0, 0)
	d.holds("/webhooks", "No job has a webhook.", "Nothing was delivered yet.")
	now := schemas.TimeOf(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))
	d.define(schemas.Job{
		TenantID: "hooked", JobID: "nightly", Title: "Nightly", Entity: schemas.EntityInteraction, State: schemas.JobActive,
		Schedule: schemas.Schedule{Run: schemas.RunDaily}, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll}, Recipients: []string{d.certificate("a").Fingerprint}, Webhook: &schemas.Webhook{URL: "https://hooks.example/cdds", SecretVersion: 1},
	}.Revised(nil, "ada", now))
	if page := d.holds("/jobs/nightly", `action="/console/jobs/nightly/secret"`); strings.Contains(page, "whsec_") {
		t.Error("the secret is shown to who did not ask")
	}
	if page := d.send("/jobs/nightly/secret", nil); !strings.Contains(page, "whsec_of-nightly") || strings.Contains(page, "hx-get") {
		t.Errorf("the secret is not shown, or taken away by the next renewal:\n%s", page)
	}
	b := schemas.Batch[*schemas.WebhookDelivery]{}
	for n, delivery := range []schemas.WebhookDelivery{
		{WebhookID: "1", Outcome: schemas.DeliveryDone, StatusCode: 204},
		{WebhookID: "2", Outcome: schemas.DeliveryGivenUp, StatusCode: 500, Reason: "the receiver failed"},
	} {
		delivery.TenantID, delivery.JobID, delivery.ExportID, delivery.Time, delivery.Attempt, delivery.URL = "hooked", "nightly", "e1", now, 1, "https://hooks.example/cdds"
		b.Records = append(b.Records, schemas.Record[*schemas.WebhookDelivery]{Offset: int64(n), Event: &delivery})
	}
	check(t, d.ledger.InsertDeliveries(t.Context(), b))
	d.holds("/webhooks", "Nightly", `s-delivered">Delivered<`, `s-given_up">Given up<`, "500: the receiver failed")
	if unknown := d.fetch("GET", "/webhooks/nightly/3", nil, nil); unknown.Code != 404 {
		t.Errorf("an unknown event is answered with %d", unknown.Code)
	}
	if page := d.holds("/webhooks/nightly/2", "500: the receiver failed", "Once the receiver works"); strings.Contains(page, "/redeliver") {
		t.Error("an event whose message was not kept can be delivered again")
	}
	if page := d.holds("/webhooks?outcome=given_up", "the receiver failed"); strings.Contains(page, "s-delivered") {
		t.Error("the filter leaves one that was delivered")
	}
	d.who.Role = schemas.RoleViewer
	if page := d.send("/jobs/nightly/webhook-test", nil); !strings.Contains(page, "Access denied") || strings.Contains(d.get("/jobs/nightly"), "webhook-test") {
		t.Error("a viewer may test a webhook")
	}
	if page := d.send("/jobs/nightly/secret", nil); strings.Contains(page, "whsec_") || strings.Contains(d.get("/jobs/nightly"), "/secret") {
		t.Error("a viewer sees the secret")
	}
}

func TestAnEventOfAWebhookIsDeliveredAgainFromItsPage(t *testing.T) {
	d := newDesk(t, "again", 0, 0)
	now := schemas.TimeOf(time.Date(2026, 11, 1, 11, 59, 0, 0, time.UTC))
	d.define(schemas.Job{
		TenantID: "again", JobID: "nightly", Title: "Nightly", Entity: schemas.EntityInteraction, State: schemas.JobActive,
		Schedule: schemas.Schedule{Run: schemas.RunDaily}, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll}, Recipients: []string{d.certificate("a").Fingerprint}, Webhook: &schemas.Webhook{URL: "https://hooks.example/cdds", SecretVersion: 1},
	}.Revised(nil, "ada", now))
	keep := func(all ...*schemas.WebhookDelivery) {
		t.Helper()
		b := schemas.Batch[*schemas.WebhookDelivery]{}
		for n, delivery := range all {
			b.Records = append(b.Records, schemas.Record[*schemas.WebhookDelivery]{Offset: int64(n), Event: delivery})
		}
		check(t, d.ledger.InsertDeliveries(t.Context(), b))
	}
	given := schemas.WebhookDelivery{
		TenantID: "again", JobID: "nightly", ExportID: "e1", WebhookID: "evt_1", Event: "export.completed", Attempt: 1, Time: now, Outcome: schemas.DeliveryGivenUp, StatusCode: 503, Reason: "the receiver answered 503",
		Fact: &schemas.WebhookFact{Time: now, State: schemas.Completed, Totals: &schemas.Totals{Rows: 1200, Parts: 3}},
	}
	keep(&given)
	d.holds("/webhooks", `href="/console/webhooks/nightly/evt_1">Export completed<`)
	d.holds("/webhooks/nightly/evt_1", "Export completed", "Given up", "The receiver answered 503.", "1,200 rows in 3 parts", `action="/console/webhooks/nightly/evt_1/redeliver"`)
	to := d.ends("/webhooks/nightly/evt_1/redeliver", nil)
	if !strings.HasPrefix(to, "/webhooks/nightly/evt_1?") || len(d.asked.webhooks) != 1 {
		t.Fatalf("it ends at %q with %+v", to, d.asked.webhooks)
	}
	// History knows only the first attempt, and is down in the end.
	later := func(d time.Duration) string {
		return strings.Replace(to, "at="+url.QueryEscape(schemas.TimeOf(now.Add(time.Minute)).String()), "at="+url.QueryEscape(schemas.TimeOf(now.Add(time.Minute-d)).String()), 1)
	}
	if page := d.holds(to, `s-requested">Requested<`, "ada requested it", "The first attempt follows", `hx-trigger="every 2s"`); strings.Contains(page, `<p class="big"><span class="badge s-given_up"`) || strings.Contains(page, "/redeliver\"") {
		t.Errorf("the page shows the outcome of before the request:\n%s", page)
	}
	d.holds(later(time.Minute), "History does not have the request yet.", `hx-trigger="every 15s"`)
	if page := d.holds(later(time.Hour), "History does not have the request yet."); strings.Contains(page, "hx-trigger=\"every") {
		t.Error("the page looks for ever for what does not come")
	}
	again := *d.asked.webhooks[0]
	if again.Redelivery != 1 || again.WebhookID != "evt_1" || again.Outcome != schemas.DeliveryRequested || again.RequestedBy != "ada" || again.Fact == nil || again.Fact.Totals.Rows != 1200 {
		t.Errorf("requested is %+v", again)
	}
	keep(&again)
	if page := d.holds("/webhooks/nightly/evt_1?done=webhook.redeliver", "The redelivery is requested.", "ada requested it", "The first attempt follows"); strings.Contains(page, "/redeliver\"") {
		t.Error("a redelivery that waits can be requested once more")
	}
	_ = d.send("/webhooks/nightly/evt_1/redeliver", nil) // by who had the page open before
	if len(d.asked.webhooks) != 1 {
		t.Errorf("two requests were made: %+v", d.asked.webhooks)
	}
	made := again
	made.Outcome, made.Attempt, made.StatusCode, made.Milliseconds, made.URL, made.Time = schemas.DeliveryDone, 1, 204, 12, "https://hooks.example/cdds", schemas.TimeOf(now.Add(time.Second))
	keep(&made)
	d.holds("/webhooks/nightly/evt_1", "The receiver answered 204 after 12 ms.", "of redelivery 1", "by ada")

	if to := d.ends("/jobs/nightly/webhook-test", nil); !strings.HasPrefix(to, "/webhooks/nightly/evt_") || !strings.Contains(to, "done=webhook.test") {
		t.Errorf("the test ends at %q", to)
	} else {
		d.holds(to, "The request is on its way.") // history does not know it yet
		test := *d.asked.webhooks[1]
		test.Time = schemas.TimeOf(now.Add(-time.Minute))
		keep(&test)
		d.holds(to, "Test of the webhook", "No process has taken the request yet.")
	}
}
