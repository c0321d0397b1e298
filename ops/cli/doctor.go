package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"cdds/ops/connect"
	"cdds/schemas"
)

func newDoctor(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check every service and role, and that no record is missing",
		Long: `Check that Kafka, ClickHouse and S3 answer and hold what they should, that every role
is running, and that every record of the source topics is stored or dead-lettered.
It exits 0 only when everything is healthy.

` + exitCodes,
		Example: examples("cdds doctor", "cdds --data-dir /var/lib/cdds doctor --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			services, err := s.connect()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, services.close()) }()
			return s.doctor(cmd.Context(), services)
		},
	}
}

// finding is what one check found.
type finding struct {
	Check   string `json:"check"`
	Healthy bool   `json:"healthy"`
	Detail  string `json:"detail"`
}

const doctorTimeout = 30 * time.Second

func (s *session) doctor(ctx context.Context, all *services) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	type check struct {
		name string
		do   func(context.Context, *services) (string, error)
	}
	checks := []check{
		{"kafka", checkKafka},
		{"clickhouse", checkClickHouse},
		{"s3", checkBucket},
	}
	for _, group := range roleGroups() {
		checks = append(checks, check{"role " + strings.TrimPrefix(group, "cdds."), func(ctx context.Context, s *services) (string, error) {
			return checkGroup(ctx, s, group)
		}})
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

// roleGroups are the consumer groups that must have members.
func roleGroups() []string {
	var groups []string
	for _, topic := range schemas.SourceTopics() {
		groups = append(groups, schemas.IngestGroup(topic))
	}
	return append(groups, schemas.GroupExport, schemas.GroupHistory, schemas.GroupAudit, schemas.GroupErasure)
}

func checkKafka(ctx context.Context, s *services) (string, error) {
	if err := connect.PingKafka(ctx, s.client); err != nil {
		return "", err
	}
	existing, err := s.admin.ListTopics(ctx)
	if err != nil {
		return "", fmt.Errorf("list topics: %w", err)
	}
	var missing []string
	for _, topic := range schemas.Topics() {
		if !existing.Has(string(topic)) {
			missing = append(missing, string(topic))
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("topics are missing: %s; `cdds provision` creates them", strings.Join(missing, ", "))
	}
	return schemas.Counted(len(schemas.Topics()), "topic"), nil
}

func checkClickHouse(ctx context.Context, s *services) (string, error) {
	version, err := s.warehouse.Version(ctx)
	if err != nil {
		return "", err
	}
	missing, err := s.warehouse.MissingTables(ctx)
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("tables are missing: %s; `cdds provision` creates them", strings.Join(missing, ", "))
	}
	return "version " + version, nil
}

func checkBucket(ctx context.Context, s *services) (string, error) {
	ok, err := s.bucket.Exists(ctx)
	if err == nil && !ok {
		err = errors.New("the bucket is missing; `cdds provision` creates it")
	}
	return "bucket is there", err
}

// checkGroup wants a role to have members that have joined.
func checkGroup(ctx context.Context, s *services, group string) (string, error) {
	l, err := s.offsets.Lineage(ctx, schemas.TopicOf(group))
	if err != nil {
		return "", err
	}
	base := group
	group = l.Group(base)
	lags, err := s.admin.Lag(ctx, group)
	if err != nil {
		return "", fmt.Errorf("describe group %s: %w", group, err)
	}
	lag := lags[group]
	if err := lag.Error(); err != nil {
		return "", fmt.Errorf("describe group %s: %w", group, err)
	}
	if len(lag.Members) == 0 {
		return "", errors.New("no process runs this role; start one with `cdds up`")
	}
	if lag.State != "Stable" {
		return "", fmt.Errorf("the group is %s, not Stable; it may be rebalancing", lag.State)
	}
	behind := totalLag(lag)
	if behind > 0 && base != schemas.GroupExport && base != schemas.GroupErasure {
		if err := checkMoving(ctx, s, group, behind); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d running, %s behind", len(lag.Members), schemas.Counted(behind, "record")), nil
}

// settleTime is how long a role that is behind has to get on.
const settleTime = 3 * time.Second

// checkMoving wants a group that is behind to come nearer. An export may well take
// hours; what is stored or projected must not stand still.
func checkMoving(ctx context.Context, s *services, group string, behind int64) error {
	before, err := s.admin.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("offsets of group %s: %w", group, err)
	}
	for deadline := time.Now().Add(settleTime); time.Now().Before(deadline); {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		after, err := s.admin.FetchOffsets(ctx, group)
		if err != nil {
			return fmt.Errorf("offsets of group %s: %w", group, err)
		}
		moved := false
		after.Each(func(o kadm.OffsetResponse) {
			old, ok := before.Lookup(o.Topic, o.Partition)
			moved = moved || !ok || o.At > old.At
		})
		if moved {
			return nil
		}
	}
	return fmt.Errorf("%s behind and standing still; /readyz and the log of the role say why", schemas.Counted(behind, "record"))
}

func totalLag(l kadm.DescribedGroupLag) int64 {
	var n int64
	for _, member := range l.Lag.Sorted() {
		n += max(member.Lag, 0)
	}
	return n
}
