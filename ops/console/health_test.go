package console_test

import (
	"strings"
	"testing"

	"cdds/ops/admin"
	"cdds/schemas"
)

func TestTheOperatorSeesWhatFailsAndWhatToDo(t *testing.T) {
	d := newDesk(t, "looked-at", 0, 0)
	d.who.Tenant, d.who.Role, d.tenant = schemas.AllTenants, schemas.RoleOperator, "looked-at"
	d.health = []admin.Finding{{Check: "kafka", Healthy: true, Detail: "14 topics"}, {Check: "role export", Healthy: true, Detail: "1 running, 0 records behind"}}
	if page := d.get("/health"); !strings.Contains(page, "Everything works.") || !strings.Contains(page, "Makes and encrypts files") || !strings.Contains(page, "14 topics") {
		t.Errorf("where all is well the page is\n%s", page)
	}
	d.health = append([]admin.Finding{
		{Check: "role webhooks", Role: "webhooks", Detail: "no process runs this role"},
		{Check: "clickhouse", Detail: "connection refused"},
		{Check: "role of later", Detail: "odd <b>"},
	}, d.health...)
	page := d.get("/health")
	for _, want := range []string{
		"3 parts do not work:</strong> Webhooks, ClickHouse, role of later.", "cdds up --roles webhooks", "Connection refused", "has disk left", "Odd &lt;b&gt;", `s-failed">No process runs this role`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestAnAdministratorOfATenantSeesOnlyWhetherTheSystemWorks(t *testing.T) {
	d := newDesk(t, "told", 0, 0)
	d.health = []admin.Finding{{Check: "kafka", Healthy: true}, {Check: "s3", Healthy: true}}
	if page := d.get("/"); !strings.Contains(page, "All services and roles work.") || strings.Contains(page, `/console/health"`) {
		t.Errorf("the overview is\n%s", page)
	}
	d.health[0] = admin.Finding{Check: "kafka", Detail: "broker-7.internal does not answer"}
	if page := d.get("/"); !strings.Contains(page, "1 part of the system does not work. Your operator sees what to do.") || strings.Contains(page, "broker-7") {
		t.Errorf("the overview is\n%s", page)
	}
	if page := d.refused("/health"); strings.Contains(page, "broker-7") {
		t.Error("it sees what the operator runs")
	}
	d.who.Tenant, d.tenant = schemas.AllTenants, "told"
	if page := d.get("/"); !strings.Contains(page, `<a href="/console/health">See what to do</a>`) {
		t.Errorf("the overview of who runs the system is\n%s", page)
	}
	d.who.Tenant, d.who.Role = "told", schemas.RoleViewer
	if page := d.get("/"); strings.Contains(page, "of the system") {
		t.Errorf("a viewer sees the system's health:\n%s", page)
	}
}
