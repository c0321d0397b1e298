package console

import (
	"strings"

	"cdds/ops/admin"
	"cdds/ops/shell"
	"cdds/schemas"
)

// healthData is what the last look at services and roles found.
type healthData struct {
	Broken          []part
	Services, Roles []part
	// At is when that was; the zero time before the first look.
	At schemas.Time
}

// part is a service or a role of the system.
type part struct {
	admin.Finding
	// Title is what it is called, Does what it is for, Then what to do if it fails, and
	// Command is the command that does it, if there is one.
	Title, Does, Then, Command string
}

// State is the state whose shape and colour it has.
func (p part) State() string {
	if p.Healthy {
		return string(schemas.Completed)
	}
	return string(schemas.Failed)
}

// parts are the services and roles by the names of their checks.
var parts = map[string]part{
	"kafka":      {Title: "Kafka", Does: "Receives interactions, contacts and requests", Then: "Check that the brokers run and that this process reaches them. Nothing is lost meanwhile: producers wait or try again."},
	"clickhouse": {Title: "ClickHouse", Does: "Stores what was received", Then: "Check that the server runs, has disk left, and that the tables are up to date. Nothing is lost meanwhile: Kafka keeps the records."},
	"s3":         {Title: "Object store", Does: "Keeps export files and attachments", Then: "Check that the store runs and that both buckets exist. Exports wait until it is back."},
	"retention":  {Title: "Retention", Does: "Deletes files when their days are over", Then: "Files and history disagree, so nothing is deleted until somebody confirms it. See what it found, then confirm it or restore what is missing.", Command: "cdds retention"},

	"role ingest (interactions)":        {Title: "Receive interactions", Does: "Stores new interactions"},
	"role ingest (contacts)":            {Title: "Receive contacts", Does: "Stores new contacts"},
	"role export":                       {Title: "Export", Does: "Makes and encrypts files"},
	"role history":                      {Title: "History", Does: "Shows the progress of exports"},
	"role history (audit)":              {Title: "Audit trail", Does: "Stores who did what"},
	"role history (webhook.deliveries)": {Title: "Webhook history", Does: "Stores what webhooks answered"},
	"role retention":                    {Title: "Retention process", Does: "Deletes files when their days are over"},
	"role erasure":                      {Title: "Erasure", Does: "Erases people on request"},
	"role schedule":                     {Title: "Schedule", Does: "Starts jobs on time"},
	"role webhooks":                     {Title: "Webhooks", Does: "Sends a request when a run has ended"},
	"role webhooks (webhook.requests)":  {Title: "Webhook tests and redeliveries", Does: "Sends a request that somebody asked for"},
	"role web":                          {Title: "Web", Does: "Serves this console and the HTTP API"},
}

// partOf is a finding with its words.
func partOf(f admin.Finding) part {
	p, known := parts[f.Check]
	if !known {
		p.Title = f.Check
	}
	p.Finding = f
	switch {
	case f.Role != "":
		p.Then, p.Command = "Start a process with this role. It takes up its work where it was left. Nothing is lost.", shell.Command("cdds", "up", "--roles", f.Role)
	case p.Then == "":
		p.Then = "The log of the role says why. If it stays behind, start another process with this role."
	}
	return p
}

func (c *Console) health(q *request) error {
	found, at, err := q.HealthReport()
	if err != nil {
		return err
	}
	d := healthData{At: at}
	for _, f := range found {
		p := partOf(f)
		if !p.Healthy {
			d.Broken = append(d.Broken, p)
		}
		if strings.HasPrefix(f.Check, "role ") {
			d.Roles = append(d.Roles, p)
		} else {
			d.Services = append(d.Services, p)
		}
	}
	return c.show(q, "health", view{Title: "Health", At: "/health", Live: "10s", Data: d})
}
