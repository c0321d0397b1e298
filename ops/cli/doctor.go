//go:build !receiver

package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/provision"
	"cdds/pipeline/tables"
	"cdds/schemas"
)

func newDoctor(s *session) *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check every service and role, and that no record is missing",
		Long: `Check that Kafka, ClickHouse and S3 answer and hold what they should, that every role
runs somewhere, and that every record of the source topics is stored or dead-lettered.
It exits 0 only when everything is healthy.

It expects all roles, and webhooks only if webhooks.secret is configured. If your system
runs fewer, name them with --roles. It compares the key of pseudonyms with
the keys of the jobs' last runs. With web.links it also follows a link to
the object store, as a receiver would.

` + exitCodes,
		Example: examples("cdds doctor", "cdds --data-dir /var/lib/cdds doctor --json", "cdds doctor --roles ingest,export,history"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			c, err := s.find()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("roles") {
				roles = app.ImpliedRoles(c)
			}
			if err := knownRoles(roles); err != nil {
				return err
			}
			services, err := connectAll(c)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, services.close()) }()
			return s.doctor(cmd.Context(), services, c, roles)
		},
	}
	cmd.Flags().StringSliceVar(&roles, "roles", nil, "`roles` that must run (default: those that the configuration implies)")
	return cmd
}

// finding is what one check found.
type finding struct {
	Check   string `json:"check"`
	Healthy bool   `json:"healthy"`
	Detail  string `json:"detail"`
}

// check is one question and how it is answered: with a detail, or with what is wrong.
type check struct {
	name string
	do   func(context.Context, *services) (string, error)
}

const doctorTimeout = 30 * time.Second

func (s *session) doctor(ctx context.Context, all *services, c config.Config, roles []string) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	checks := []check{
		{"kafka", checkKafka},
		{"clickhouse", checkClickHouse},
		{"s3", func(ctx context.Context, s *services) (string, error) { return checkBucket(ctx, s, c) }},
		{"retention", checkRetention},
	}
	if c.Web.Links {
		checks = append(checks, check{"links", func(ctx context.Context, s *services) (string, error) {
			return "links to artifacts lead to the store, which accepts them", connect.CheckLinks(ctx, s.bucket, c.S3)
		}})
	}
	settled := time.Now().Add(app.SettleTime)
	for _, role := range roles {
		for _, c := range (app.Watch{Admin: all.admin, Offsets: all.offsets}).OfRole(role) {
			checks = append(checks, check{c.Name, func(ctx context.Context, _ *services) (string, error) {
				return untilSettled(ctx, settled, func() (string, error) { return c.Do(ctx) })
			}})
		}
	}
	for _, topic := range schemas.SourceTopics() {
		checks = append(checks, check{"records of " + string(topic), func(ctx context.Context, s *services) (string, error) {
			return checkAccount(ctx, s, topic)
		}}, check{"topic " + string(topic), func(ctx context.Context, s *services) (string, error) {
			return checkIncarnation(ctx, s, topic)
		}}, check{"partitions of " + string(topic), func(ctx context.Context, s *services) (string, error) {
			return checkPartitioning(ctx, s, topic)
		}})
	}
	checks = append(checks, check{"pseudonyms", checkPseudonyms})
	var findings []finding
	healthy := true
	for _, c := range checks {
		detail, err := c.do(ctx, all)
		if err != nil {
			detail, healthy = err.Error(), false
		}
		findings = append(findings, finding{c.name, err == nil, detail})
	}
	err := s.result(map[string]any{"healthy": healthy, "findings": findings}, func() {
		rows := [][]string{{"", "CHECK", "DETAIL"}}
		for _, f := range findings {
			mark := "ok"
			if !f.Healthy {
				mark = "FAIL"
			}
			rows = append(rows, []string{mark, f.Check, f.Detail})
		}
		s.table(rows)
	})
	if err == nil && !healthy {
		return silent{unreachable(errors.New("not everything is healthy"))}
	}
	return err
}

// untilSettled asks again, up to a deadline, while a role has no member yet or its group
// rebalances: a process that has just started takes a moment to join.
func untilSettled(ctx context.Context, deadline time.Time, ask func() (string, error)) (string, error) {
	for {
		detail, err := ask()
		if !errors.Is(err, app.ErrNotRunning) && !errors.Is(err, app.ErrUnstable) || time.Now().After(deadline) {
			return detail, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func checkKafka(ctx context.Context, s *services) (string, error) {
	if err := connect.PingKafka(ctx, s.client); err != nil {
		return "", err
	}
	if err := provision.TopicsExist(ctx, s.admin); err != nil {
		return "", err
	}
	return schemas.Counted(len(schemas.Topics()), "topic"), nil
}

func checkClickHouse(ctx context.Context, s *services) (string, error) {
	version, err := s.tables.Version(ctx)
	if err != nil {
		return "", err
	}
	if err := provision.TablesAreCurrent(ctx, s.tables); err != nil {
		return "", err
	}
	return "version " + version + ", schema " + tables.Version(provision.Schemas()...), nil
}

func checkBucket(ctx context.Context, s *services, c config.Config) (string, error) {
	err := provision.BucketsExist(ctx, s.bucket, c.S3)
	if err == nil {
		err = provision.Probe(ctx, s.bucket, c)
	}
	if err != nil {
		return "", err
	}
	versions, locks, err := s.bucket.Guards(ctx)
	detail := "conditional writes, reads, clock, lifecycle and rights are as CDDS needs them"
	switch {
	case locks:
		detail += "; Object Lock keeps what is held"
	case versions:
		detail += "; it keeps versions, and what is removed leaves none"
	}
	return detail, err
}
