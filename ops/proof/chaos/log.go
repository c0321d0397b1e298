package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// record is one record of a source topic as Kafka has it.
type record struct {
	position
	garbled bool
	value   []byte
	// These identify and select rows, read without package schemas.
	tenant, id, contact, media string
	time                       time.Time
	attachments                []attachment
	erased                     bool
}

// attachment is one that a record carries.
type attachment struct {
	ID      string `json:"attachment_id"`
	Content []byte `json:"content"` // base64
}

// readLog returns every record of a topic, by partition and offset.
func (c *checker) readLog(ctx context.Context, topic schemas.Topic) ([]record, error) {
	raw, err := c.readTopic(ctx, topic)
	if err != nil {
		return nil, err
	}
	log := make([]record, 0, len(raw))
	for _, r := range raw {
		entry := record{position: position{topic, r.Partition, r.Offset}, value: r.Value}
		entry.garbled = slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == garbled })
		if !entry.garbled {
			var v struct {
				TenantID    string    `json:"tenant_id"`
				Interaction string    `json:"interaction_id"`
				Contact     string    `json:"contact_id"`
				Media       string    `json:"media_type"`
				StartedAt   time.Time `json:"started_at"`
				CreatedAt   time.Time `json:"created_at"`
				Attachments []attachment
			}
			if err := json.Unmarshal(r.Value, &v); err != nil {
				return nil, fmt.Errorf("the harness produced what it cannot read, %v: %w", entry.position, err)
			}
			entry.tenant, entry.media, entry.attachments = v.TenantID, v.Media, v.Attachments
			entry.id, entry.contact, entry.time = v.Interaction, v.Contact, v.StartedAt
			if topic == schemas.TopicContacts {
				entry.id, entry.time = v.Contact, v.CreatedAt
			}
		}
		log = append(log, entry)
	}
	return log, nil
}

// readTopic reads a topic from its start to the end it has now.
func (c *checker) readTopic(ctx context.Context, topic schemas.Topic) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ends, err := c.system.admin.ListEndOffsets(ctx, string(topic))
	if err != nil {
		return nil, err
	}
	left := map[int32]int64{}
	for p, end := range ends[string(topic)] {
		if end.Offset > 0 {
			left[p] = end.Offset
		}
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(c.system.local.Config.Kafka.Brokers...),
		kgo.ConsumeTopics(string(topic)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read %s: %w", topic, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, r)
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all, nil
}

// checkStored holds the table and the dead letters against the log: every position
// is in exactly one of them, with what was produced.
func (c *checker) checkStored(ctx context.Context, topic schemas.Topic) error {
	bodies, err := c.bodies(ctx, topic)
	if err != nil {
		return err
	}
	letters, err := c.letters(ctx, topic)
	if err != nil {
		return err
	}
	sent, err := c.readTopic(ctx, topic.DeadLetter())
	if err != nil {
		return err
	}
	bytesOf := map[position][]byte{}
	for _, r := range sent {
		bytesOf[origin(topic, r)] = r.Value
	}
	for _, r := range c.log[topic] {
		body, stored := bodies[r.position]
		if r.erased {
			c.report.holds(lawErased, !stored || c.goesAgain(ctx, topic, r), "%v is stored, and was erased", r.position)
			c.report.fact("records erased", 1)
			continue
		}
		c.report.holds(lawStored, stored == !r.garbled && letters[r.position] == r.garbled,
			"%v, garbled %v, is stored %v and dead-lettered %v", r.position, r.garbled, stored, letters[r.position])
		if r.garbled {
			original, ok := bytesOf[r.position]
			c.report.holds(lawLetters, ok && bytes.Equal(original, r.value), "%v is %q there, and was %q", r.position, original, r.value)
		} else {
			c.report.holds(lawContent, !stored || body == string(r.value), "%v is stored as %s, and was %s", r.position, body, r.value)
		}
		delete(bodies, r.position)
		delete(letters, r.position)
	}
	c.report.holds(lawStored, len(bodies)+len(letters) == 0, "%d rows and %d dead letters of %s were never produced", len(bodies), len(letters), topic)
	return nil
}

func tableOf(topic schemas.Topic) string {
	if topic == schemas.TopicContacts {
		return "contacts"
	}
	return "interactions"
}

// bodies reads every stored row. Two rows of one position must be the same.
func (c *checker) bodies(ctx context.Context, topic schemas.Topic) (map[position]string, error) {
	rows, err := c.system.conn.Query(ctx, "SELECT source_partition, source_offset, body FROM "+tableOf(topic))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := map[position]string{}
	for rows.Next() {
		p := position{topic: topic}
		var body string
		if err := rows.Scan(&p.partition, &p.offset, &body); err != nil {
			return nil, err
		}
		if other, again := all[p]; again {
			c.report.fact("rows stored again by a replay", 1)
			c.report.holds(lawContent, body == other, "%v is stored as %s and as %s", p, body, other)
		}
		all[p] = body
	}
	return all, rows.Err()
}

// letters reads the positions that are recorded as dead-lettered.
func (c *checker) letters(ctx context.Context, topic schemas.Topic) (map[position]bool, error) {
	rows, err := c.system.conn.Query(ctx, "SELECT source_partition, source_offset FROM dead_letters WHERE topic = ?", string(topic))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := map[position]bool{}
	for rows.Next() {
		p := position{topic: topic}
		if err := rows.Scan(&p.partition, &p.offset); err != nil {
			return nil, err
		}
		all[p] = true
	}
	return all, rows.Err()
}

// origin is the position a dead letter says it had.
func origin(topic schemas.Topic, r *kgo.Record) position {
	p := position{topic: topic, partition: -1}
	for _, h := range r.Headers {
		n, err := strconv.ParseInt(string(h.Value), 10, 64)
		switch {
		case err != nil:
		case h.Key == schemas.HeaderPartition:
			p.partition = int32(n)
		case h.Key == schemas.HeaderOffset:
			p.offset = n
		}
	}
	return p
}

// checkAccount asks what `cdds doctor` asks.
func (c *checker) checkAccount(ctx context.Context, topic schemas.Topic) error {
	done, err := c.system.offsets.Ingested(ctx, topic)
	if err != nil {
		return err
	}
	used, err := c.system.offsets.Used(ctx, topic, done)
	if err != nil {
		return err
	}
	account, err := c.system.warehouse.Account(ctx, topic, used)
	if err != nil {
		return err
	}
	for _, p := range account {
		c.report.holds(lawAccount, p.Missing == 0, "partition %d of %s: %d missing, %+v", p.Partition, topic, p.Missing, p)
	}
	twice, err := c.system.warehouse.Overlaps(ctx, topic)
	c.report.holds(lawAccount, twice == 0, "%d positions of %s are stored as two different rows", twice, topic)
	return err
}
