package app

import (
	"cdds/consumers"
	"cdds/consumers/definitions"
	"cdds/ops/connect"
)

// defined is this process's copy of jobs and certificates, made for the first role that
// asks for it; the role that reads it runs beside.
func (a *App) defined() (*definitions.Definitions, error) {
	if a.definitions != nil {
		return a.definitions, nil
	}
	kafka, err := connect.Kafka(a.Config.Kafka, "definitions", a.Registry)
	if err != nil {
		return nil, err
	}
	log := a.Logger.With("role", "definitions")
	replica, err := consumers.NewReplica(consumers.ReplicaOptions{Kafka: kafka, Topics: definitions.Topics(), Logger: log})
	if err != nil {
		return nil, err
	}
	if a.definitions, err = definitions.New(definitions.Options{Log: replica, Registerer: a.Registry, Logger: log}); err != nil {
		return nil, err
	}
	a.roles = append(a.roles, role{"definitions", a.definitions.Run, a.definitions.Ready})
	return a.definitions, nil
}
