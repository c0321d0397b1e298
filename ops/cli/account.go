//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdds/consumers/account"
	"cdds/pipeline"
	"cdds/pipeline/warehouse"
	"cdds/producers"
	"cdds/schemas"
)

func newAccount(s *session) *cobra.Command {
	var topics []string
	cmd := &cobra.Command{
		Use:   "account",
		Short: "Show what became of every record of the source topics",
		Long: `Account for every position that ingest has passed, by partition of the source topics: stored, dead-lettered, void (no record for readers, such as the mark of a
transaction), erased, aged out, written off or missing. The ingest role reads missing records
again if Kafka still has them. Records that Kafka no longer has are listed as gone:
exports that need them fail until you restore ClickHouse from a backup that has them, or
write them off (cdds account write-off).

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
	cmd.Flags().StringSliceVar(&topics, "topic", sourceTopics(), "only these `topics`")
	cmd.AddCommand(newWriteOff(s))
	return cmd
}

func sourceTopics() (names []string) {
	for _, t := range schemas.SourceTopics() {
		names = append(names, string(t))
	}
	return names
}

// sourceTopic is the source topic of a name.
func sourceTopic(name string) (schemas.Topic, error) {
	if !slices.Contains(sourceTopics(), name) {
		return "", usageError{fmt.Errorf("--topic %s is not a source topic; source topics are %s", name, strings.Join(sourceTopics(), " and "))}
	}
	return schemas.Topic(name), nil
}

// book is the account of the source topics.
func (s *services) book(publisher account.Publisher) account.Book {
	return account.Book{Log: s.offsets, Store: s.warehouse, Decisions: pipeline.WriteOffs{Store: s.bucket}, Publisher: publisher}
}

func (s *session) showAccount(ctx context.Context, services *services, topics []string) error {
	var all []warehouse.TopicAccount
	for _, name := range topics {
		topic, err := sourceTopic(name)
		if err != nil {
			return err
		}
		a, err := services.book(nil).Draw(ctx, topic)
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
			if now, _ := a.Incarnations.Now(); now.Number > 0 {
				s.print("\n%s: incarnation %d (%s) since %s\n", a.Topic, now.Number, now.Cause, now.DecidedAt)
			}
			if len(a.Gone) > 0 {
				s.print("\n%s: neither ClickHouse nor Kafka has %s\n", a.Topic, schemas.Places(a.Gone))
			}
			for _, w := range a.WriteOffs {
				s.print("\n%s: write-off %d of %s by %s on %s: %s\n", a.Topic, w.Number, schemas.Counted(w.Records(), "record"), w.By, w.At, w.Reason)
			}
		}
	})
}

func newWriteOff(s *session) *cobra.Command {
	var topic, reason string
	var partition int32
	var first, next int64
	cmd := &cobra.Command{
		Use:   "write-off",
		Short: "Stop waiting for records that are lost for good",
		Long: `Write off records that neither ClickHouse nor Kafka has any more: exports stop waiting for
them. Try to get them back first: restore ClickHouse from a backup that has them, or have
the producers publish them again. A write-off cannot be undone. It is in the audit trail,
and every manifest whose snapshot lies past the records lists it with the reason.

Without --partition the command writes off all records of the topic that are gone (cdds
account lists them). It never writes off records that are stored, or that Kafka still has.

` + exitCodes,
		Example: examples(
			`cdds account write-off --topic cdds.interactions --reason "broker disk lost on 3 May, no backup (OPS-311)"`,
			`cdds account write-off --topic cdds.contacts --partition 2 --first 100 --next 250 --reason "..."`),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			of, err := sourceTopic(topic)
			if err != nil {
				return err
			}
			var within []schemas.Run
			if cmd.Flags().Changed("partition") {
				if within = []schemas.Run{{Partition: partition, First: first, Next: next}}; partition < 0 || first < 0 || next <= first {
					return usageError{errors.New("--partition, --first and --next must name a run of positions: first below next")}
				}
			}
			services, err := s.connect()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, services.close()) }()
			return s.writeOff(cmd.Context(), services, of, within, reason)
		},
	}
	cmd.Flags().StringVar(&topic, "topic", "", "the source `topic`")
	cmd.Flags().StringVar(&reason, "reason", "", "why, as manifests and the audit trail state it: `text`")
	cmd.Flags().Int32Var(&partition, "partition", 0, "only this `partition`")
	cmd.Flags().Int64Var(&first, "first", 0, "only from this `position` of the partition")
	cmd.Flags().Int64Var(&next, "next", 0, "only below this `position` of the partition")
	_ = cmd.MarkFlagRequired("topic")
	_ = cmd.MarkFlagRequired("reason")
	cmd.MarkFlagsRequiredTogether("partition", "first", "next")
	return cmd
}

func (s *session) writeOff(ctx context.Context, services *services, topic schemas.Topic, within []schemas.Run, reason string) error {
	publisher, err := producers.New(services.kafka, "cdds/cli", nil)
	if err != nil {
		return err
	}
	defer publisher.Close()
	host, _ := os.Hostname()
	w, err := services.book(publisher).WriteOff(ctx, topic, within, reason, whoami(), host, time.Now())
	switch {
	case errors.Is(err, schemas.ErrNothingGone):
		return refused(withHint(err, "`cdds account` shows what is missing"))
	case errors.Is(err, schemas.ErrNoReason):
		return usageError{err}
	case err != nil:
		return unreachable(err)
	}
	return s.result(w, func() {
		s.print("Written off: %s of %s, as write-off %d. Retry the exports that failed for lack of them.\n", schemas.Places(w.Runs), w.Topic, w.Number)
	})
}

// checkAccount wants every record of a source topic to be accounted for.
func checkAccount(ctx context.Context, s *services, topic schemas.Topic) (string, error) {
	a, err := s.book(nil).Draw(ctx, topic)
	if err != nil {
		return "", err
	}
	var stored, letters, erased int64
	for _, p := range a.Partitions {
		stored, letters, erased = stored+p.Stored, letters+p.DeadLetters, erased+p.Erased
	}
	switch missing := a.Missing(); {
	case len(a.Gone) > 0:
		return "", fmt.Errorf("missing: %s, and Kafka no longer has %s; restore ClickHouse from a backup that has them, or write them off", schemas.Counted(missing, "record"), schemas.Places(a.Gone))
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
