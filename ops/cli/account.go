package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

func newAccount(s *session) *cobra.Command {
	var topics []string
	cmd := &cobra.Command{
		Use:   "account",
		Short: "Show what became of every record of the source topics",
		Long: `Show, for each partition of the source topics, what became of every position that ingest
has passed: stored, dead-lettered, void (no record for readers, such as the mark of a
transaction), erased, aged out, written off or missing. Missing records that Kafka still
has are read again by the ingest role. Those that Kafka no longer has are listed as gone:
exports that need them fail until ClickHouse is restored from a backup that has them, or
until they are written off.

` + exitCodes,
		Example: examples("cdds account", "cdds account --topic cdds.contacts --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			services, err := s.connect()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, services.close()) }()
			return s.showAccount(cmd.Context(), services, topics)
		},
	}
	var known []string
	for _, t := range schemas.SourceTopics() {
		known = append(known, string(t))
	}
	cmd.Flags().StringSliceVar(&topics, "topic", known, "only these `topics`")
	return cmd
}

// topicAccount is what became of the records of a topic.
type topicAccount struct {
	Topic        schemas.Topic       `json:"topic"`
	Incarnations schemas.Lineage     `json:"incarnations"`
	Partitions   []warehouse.Account `json:"partitions"`
	// Gone are missing positions that Kafka does not have any more.
	Gone []schemas.Run `json:"gone"`
}

// missing is how many positions are missing in all.
func (a topicAccount) missing() (n int64) {
	for _, p := range a.Partitions {
		n += p.Missing
	}
	return n
}

// shownGaps bounds the gaps that are looked at and shown.
const shownGaps = 1000

// accountOf draws up the account of a topic, up to what ingest has committed.
func accountOf(ctx context.Context, s *services, topic schemas.Topic) (a topicAccount, err error) {
	a.Topic, a.Gone = topic, []schemas.Run{}
	if a.Incarnations, err = s.offsets.Lineage(ctx, topic); err != nil {
		return a, err
	}
	// Positions first: what is committed then is stored by the time it is looked for.
	done, err := s.offsets.Ingested(ctx, topic)
	if err != nil {
		return a, err
	}
	used, err := s.offsets.Used(ctx, topic, done)
	if err != nil {
		return a, err
	}
	if a.Partitions, err = s.warehouse.Account(ctx, topic, used); err != nil || a.missing() == 0 {
		return a, err
	}
	gaps, _, err := s.warehouse.Gaps(ctx, topic, used, shownGaps)
	if err != nil {
		return a, err
	}
	gone, err := s.offsets.Gone(ctx, topic, gaps)
	a.Gone = append(a.Gone, gone...)
	return a, err
}

func (s *session) showAccount(ctx context.Context, services *services, topics []string) error {
	var all []topicAccount
	for _, name := range topics {
		topic := schemas.Topic(name)
		if !slices.Contains(schemas.SourceTopics(), topic) {
			return usageError{fmt.Errorf("--topic %s is not a source topic; source topics are %v", name, schemas.SourceTopics())}
		}
		a, err := accountOf(ctx, services, topic)
		if err != nil {
			return unreachable(err)
		}
		all = append(all, a)
	}
	return s.result(map[string]any{"topics": all}, func() {
		rows := [][]string{{"TOPIC", "PARTITION", "STORED", "DEAD-LETTERED", "VOID", "ERASED", "AGED OUT", "WRITTEN OFF", "MISSING"}}
		for _, a := range all {
			for _, p := range a.Partitions {
				rows = append(rows, []string{
					string(a.Topic), fmt.Sprint(p.Partition), schemas.Grouped(p.Stored), schemas.Grouped(p.DeadLetters), schemas.Grouped(p.Voids),
					schemas.Grouped(p.Erased), schemas.Grouped(p.AgedOut), schemas.Grouped(p.WrittenOff), schemas.Grouped(p.Missing),
				})
			}
		}
		s.table(rows)
		for _, a := range all {
			if len(a.Gone) > 0 {
				s.print("\n%s: neither ClickHouse nor Kafka has %s\n", a.Topic, places(a.Gone))
			}
		}
	})
}

// places names runs of positions, the first few of them.
func places(runs []schemas.Run) string {
	var all []string
	for i, r := range runs {
		if i == 5 {
			all = append(all, fmt.Sprintf("and %d more runs", len(runs)-i))
			break
		}
		all = append(all, fmt.Sprintf("positions %d to %d of partition %d", r.First, r.Next-1, r.Partition))
	}
	return strings.Join(all, ", ")
}

// checkAccount wants every record of a source topic to be accounted for.
func checkAccount(ctx context.Context, s *services, topic schemas.Topic) (string, error) {
	a, err := accountOf(ctx, s, topic)
	if err != nil {
		return "", err
	}
	var stored, letters, erased int64
	for _, p := range a.Partitions {
		stored, letters, erased = stored+p.Stored, letters+p.DeadLetters, erased+p.Erased
	}
	switch missing := a.missing(); {
	case len(a.Gone) > 0:
		return "", fmt.Errorf("missing: %s, and Kafka no longer has %s; restore ClickHouse from a backup that has them, or write them off", schemas.Counted(missing, "record"), places(a.Gone))
	case missing > 0:
		return "", fmt.Errorf("not in ClickHouse: %s that ingest had stored; the ingest role reads them again from Kafka", schemas.Counted(missing, "record"))
	}
	return fmt.Sprintf("%s stored, %s dead-lettered, %s erased, none missing", schemas.Grouped(stored), schemas.Grouped(letters), schemas.Grouped(erased)), nil
}

// checkIncarnation says whether a topic still is the one that CDDS found first.
func checkIncarnation(ctx context.Context, s *services, topic schemas.Topic) (string, error) {
	l, err := s.offsets.Lineage(ctx, topic)
	if err != nil {
		return "", err
	}
	now, _ := l.Now()
	switch now.Cause {
	case schemas.IncarnationReplaced:
		return fmt.Sprintf("was deleted and made again, or is in another Kafka, since %s; what ClickHouse holds of before stays in exports", now.DecidedAt), nil
	case schemas.IncarnationTruncated:
		return fmt.Sprintf("its log lost records on %s, in %s; what ClickHouse holds of them stays in exports", now.DecidedAt, schemas.Counted(len(now.Begins), "partition")), nil
	}
	return "the one that was found first", nil
}

// shownScattered bounds the ids that are looked for in several partitions.
const shownScattered = 1000

// checkPartitioning wants records to have the time at which they were appended, since that
// decides between versions in several partitions, and says whether there are such.
func checkPartitioning(ctx context.Context, s *services, topic schemas.Topic) (string, error) {
	described, err := s.admin.DescribeTopicConfigs(ctx, string(topic))
	if err != nil {
		return "", fmt.Errorf("describe topic %s: %w", topic, err)
	}
	config, err := described.On(string(topic), nil)
	if err != nil {
		return "", fmt.Errorf("describe topic %s: %w", topic, err)
	}
	for _, c := range config.Configs {
		if c.Key == schemas.TimestampType && c.MaybeValue() != schemas.LogAppendTime {
			return "", fmt.Errorf("%s is %s: of versions in several partitions a producer's clock decides which is the newest; set it to %s (kafka-configs.sh --alter --topic %s --add-config %s=%s)",
				c.Key, c.MaybeValue(), schemas.LogAppendTime, topic, schemas.TimestampType, schemas.LogAppendTime)
		}
	}
	n, err := s.warehouse.Scattered(ctx, topic, shownScattered)
	if err != nil {
		return "", err
	}
	if n > 0 {
		return fmt.Sprintf("ids with versions in several partitions: %s; exports hold the one published last, but let all producers use one partitioner (murmur2)", atLeast(n, shownScattered)), nil
	}
	return "every id is in one partition", nil
}

// atLeast is a count that was not taken further than limit.
func atLeast(n, limit int64) string {
	if n >= limit {
		return "at least " + schemas.Grouped(limit)
	}
	return schemas.Grouped(n)
}
