package app

import (
	"cdds/producers/schedule"
)

func buildSchedule(a *App) ([]role, error) {
	jobs, err := a.defined()
	if err != nil {
		return nil, err
	}
	seen, presence, err := a.presence("schedule")
	if err != nil {
		return nil, err
	}
	c := a.Config.Schedule
	s, err := schedule.New(schedule.Options{
		Definitions: jobs, History: a.ledger, Publisher: a.publisher, Mine: presence.Mine,
		Every: c.Every, Late: c.Late, MaxCatchUp: c.MaxCatchUp,
		Registerer: a.Registry, Logger: a.Logger.With("role", "schedule"), Now: a.Now,
	})
	if err != nil {
		return nil, err
	}
	return []role{{"schedule", s.Run, s.Ready}, seen}, nil
}
