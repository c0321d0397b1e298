package app

import (
	"cdds/consumers"
	"cdds/ops/connect"
	"cdds/schemas"
)

// presence shows others that this process runs a role which is in no consumer group.
func (a *App) presence(name string) (role, *consumers.Presence, error) {
	kafka, err := connect.Kafka(a.Config.Kafka, name+".presence", nil)
	if err != nil {
		return role{}, nil, err
	}
	p := &consumers.Presence{Kafka: kafka, Group: schemas.PresenceGroup(name), Logger: a.Logger.With("role", name)}
	return role{name + ".presence", p.Run, func() error { return nil }}, p, nil
}
