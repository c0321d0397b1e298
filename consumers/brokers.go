package consumers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"cdds/pipeline/answer"
	"cdds/schemas"
)

// Mark is an offset of a partition, and what tells the log it is of from one that lost its
// tail and grew again.
type Mark struct {
	Offset int64
	// Epoch is the latest leader epoch (KIP-320) that what lies before the offset can be of;
	// -1 if that is not known.
	Epoch int32
}

// Brokers say how topics and groups stand, in Kafka's own offsets. A topic that does not
// exist is an error.
type Brokers interface {
	// TopicID is the topic's id (KIP-516), empty where brokers know none. It is never
	// answered from memory.
	TopicID(ctx context.Context, topic schemas.Topic) (string, error)
	// Starts, Ends and Stable are the first offset, the high watermark and the last stable
	// offset (KIP-98) of each partition.
	Starts(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
	Ends(ctx context.Context, topic schemas.Topic) ([]Mark, error)
	Stable(ctx context.Context, topic schemas.Topic) ([]Mark, error)
	// Committed is what a group has committed of a topic, by partition; nothing where it
	// committed nothing, or does not exist.
	Committed(ctx context.Context, group string, topic schemas.Topic) (map[int32]Mark, error)
	// Commit commits offsets for a group without members.
	Commit(ctx context.Context, group string, topic schemas.Topic, marks map[int32]Mark) error
	// EpochEnds is, by partition, the end of a leader epoch (KIP-320); nothing where that is
	// not known.
	EpochEnds(ctx context.Context, topic schemas.Topic, epochs map[int32]int32) (map[int32]int64, error)
}

// Progress is what a group has committed of a topic as it is now, by partition: where the
// present incarnation goes on with a log, what was committed of it in the ones before counts.
func Progress(ctx context.Context, b Brokers, l schemas.Lineage, base string, topic schemas.Topic) (map[int32]Mark, error) {
	all := map[int32]Mark{}
	for _, group := range l.Groups(base) {
		committed, err := b.Committed(ctx, group, topic)
		if err != nil {
			return nil, err
		}
		for p, at := range committed {
			if _, known := all[p]; !known && slices.Contains(l.Origin(base, p).Groups, group) {
				all[p] = at
			}
		}
	}
	return all, nil
}

// Kafka returns the Brokers that client is connected to. The caller closes client.
func Kafka(client *kgo.Client) Brokers { return brokers{client, kadm.NewClient(client)} }

type brokers struct {
	client *kgo.Client
	admin  *kadm.Client
}

func (b brokers) TopicID(ctx context.Context, topic schemas.Topic) (string, error) {
	request := kmsg.NewPtrMetadataRequest()
	of := kmsg.NewMetadataRequestTopic()
	of.Topic = kmsg.StringPtr(string(topic))
	request.Topics = append(request.Topics, of)
	response, err := request.RequestWith(ctx, b.client)
	if err != nil {
		return "", fmt.Errorf("topic %s: %w", topic, meaning(err))
	}
	for _, t := range response.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return "", fmt.Errorf("topic %s: %w; `cdds provision` creates missing topics", topic, meaning(err))
		}
		if id := kadm.TopicID(t.TopicID); id != (kadm.TopicID{}) {
			return id.String(), nil
		}
	}
	return "", nil
}

func (b brokers) Starts(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	listed, err := b.admin.ListStartOffsets(ctx, string(topic))
	marks, err := marksOf(topic, listed, err)
	return Offsets(marks), err
}

func (b brokers) Ends(ctx context.Context, topic schemas.Topic) ([]Mark, error) {
	listed, err := b.admin.ListEndOffsets(ctx, string(topic))
	return marksOf(topic, listed, err)
}

func (b brokers) Stable(ctx context.Context, topic schemas.Topic) ([]Mark, error) {
	listed, err := b.admin.ListCommittedOffsets(ctx, string(topic))
	return marksOf(topic, listed, err)
}

// Offsets are those of marks, by partition.
func Offsets(marks []Mark) schemas.Snapshot {
	all := make(schemas.Snapshot, len(marks))
	for p, m := range marks {
		all[p] = m.Offset
	}
	return all
}

func marksOf(topic schemas.Topic, listed kadm.ListedOffsets, err error) ([]Mark, error) {
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of topic %s: %w", topic, meaning(err))
	}
	partitions := listed[string(topic)]
	all := make([]Mark, len(partitions))
	for p, o := range partitions {
		if int(p) >= len(all) {
			return nil, fmt.Errorf("topic %s: the broker knows partition %d but not all before it", topic, p)
		}
		all[p] = Mark{o.Offset, o.LeaderEpoch}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("topic %s has no partitions; `cdds provision` creates it", topic)
	}
	return all, nil
}

func (b brokers) Committed(ctx context.Context, group string, topic schemas.Topic) (map[int32]Mark, error) {
	all := map[int32]Mark{}
	responses, err := b.admin.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, meaning(err))
	}
	for p, o := range responses[string(topic)] {
		if o.Err != nil {
			return nil, fmt.Errorf("offsets of group %s: %w", group, meaning(o.Err))
		}
		if o.At >= 0 {
			all[p] = Mark{o.At, o.LeaderEpoch}
		}
	}
	return all, nil
}

func (b brokers) Commit(ctx context.Context, group string, topic schemas.Topic, marks map[int32]Mark) error {
	all := kadm.Offsets{}
	for p, at := range marks {
		all.AddOffset(string(topic), p, at.Offset, at.Epoch)
	}
	if err := b.admin.CommitAllOffsets(ctx, group, all); err != nil {
		return fmt.Errorf("commit offsets of group %s: %w", group, meaning(err))
	}
	return nil
}

func (b brokers) EpochEnds(ctx context.Context, topic schemas.Topic, epochs map[int32]int32) (map[int32]int64, error) {
	var request kadm.OffsetForLeaderEpochRequest
	for p, epoch := range epochs {
		request.Add(string(topic), p, epoch)
	}
	all := map[int32]int64{}
	if len(epochs) == 0 {
		return all, nil
	}
	ends, err := b.admin.OffsetForLeaderEpoch(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("leader epochs of topic %s: %w", topic, meaning(err))
	}
	for p, end := range ends[string(topic)] {
		if end.Err == nil && end.EndOffset >= 0 {
			all[p] = end.EndOffset
		}
	}
	return all, nil
}

// meaning attaches to an error of Kafka what it means.
func meaning(err error) error {
	var kafka *kerr.Error
	if errors.As(err, &kafka) {
		return &answer.Error{Service: "Kafka", Meaning: answer.Kafka(kafka.Code), Err: err}
	}
	return err
}
