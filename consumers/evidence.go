package consumers

import (
	"context"
	"maps"

	"cdds/schemas"
)

// evidence is how far the log of a topic is known to have been read.
type evidence struct {
	// reached is by offset of the present incarnation, used by position.
	reached map[int32]schemas.Reached
	used    map[int32]int64
	// epochs are the leader epochs (KIP-320) that tell whether the log still has what was
	// reached; a partition has none if that is not known.
	epochs map[int32]int32
}

// at notes that the log had all that lies before an offset, under an epoch or earlier ones.
func (e evidence) at(partition int32, m Mark) {
	if m.Offset <= e.reached[partition].Offset {
		return
	}
	e.reached[partition] = schemas.Reached{Offset: m.Offset, Diverges: -1, Committed: m.Offset}
	delete(e.epochs, partition)
	if m.Epoch >= 0 {
		e.epochs[partition] = m.Epoch
	}
}

// look asks Kafka for a topic, and everybody for what was read of it.
func (s *Settler) look(ctx context.Context, topic schemas.Topic, l schemas.Lineage, thorough bool) (schemas.Log, evidence, error) {
	e := evidence{map[int32]schemas.Reached{}, map[int32]int64{}, map[int32]int32{}}
	log := schemas.Log{Topic: topic}
	// What was read comes first: what is read while this looks would seem to be lost.
	if err := s.read(ctx, topic, l, e, thorough); err != nil {
		return log, e, err
	}
	log, err := s.log(ctx, topic)
	if err != nil {
		return log, e, err
	}
	if log.TopicID != l.TopicID() { // all that was read of the other one counts
		if err := s.read(ctx, topic, l, e, true); err != nil {
			return log, e, err
		}
	}
	// The log was seen to reach to where the incarnation begins, when that was decided.
	for p := range int32(len(log.Ends)) {
		begin, epoch := l.Begin(p)
		e.at(p, Mark{begin, epoch})
	}
	ends, err := s.Brokers.EpochEnds(ctx, topic, e.epochs)
	if err != nil {
		return log, e, err
	}
	for p, end := range ends {
		r := e.reached[p]
		r.Diverges = min(end, r.Offset)
		e.reached[p] = r
	}
	for p, r := range s.lostOf(topic, l) {
		if known, is := e.reached[p]; is && known.Diverges >= 0 {
			r.Diverges = min(r.Diverges, known.Diverges)
		}
		r.Offset = max(r.Offset, e.reached[p].Offset)
		e.reached[p], e.used[p] = r, max(e.used[p], l.Position(p, r.Offset))
	}
	return log, e, nil
}

// read adds what groups have committed and, if it is thorough, what ClickHouse has. What is
// stored and not committed yet was read of the log it was committed of, if that has all of
// it under the epoch that was committed. If not, that is doubtful, and to read a few records
// under new positions does no harm.
func (s *Settler) read(ctx context.Context, topic schemas.Topic, l schemas.Lineage, e evidence, thorough bool) error {
	for _, base := range schemas.Readers(topic) {
		committed, err := Progress(ctx, s.Brokers, l, base, topic)
		if err != nil {
			return err
		}
		for p, c := range committed {
			e.at(p, c)
			e.used[p] = max(e.used[p], l.Position(p, c.Offset))
		}
	}
	if s.Stored == nil || !thorough {
		return nil
	}
	stored, err := s.Stored(ctx, topic)
	if err != nil {
		return err
	}
	for p, position := range stored {
		e.used[p] = max(e.used[p], position)
		if offset, there := l.Offset(p, position-1); there && offset+1 > e.reached[p].Offset {
			e.reached[p] = schemas.Reached{Offset: offset + 1, Diverges: -1, Committed: e.reached[p].Committed}
		}
	}
	return nil
}

// log asks Kafka for a topic. Its id is asked for before and after its offsets, which
// Kafka finds by name: they are those of one topic.
func (s *Settler) log(ctx context.Context, topic schemas.Topic) (schemas.Log, error) {
	log := schemas.Log{Topic: topic}
	for {
		id, err := s.Brokers.TopicID(ctx, topic)
		if err != nil {
			return log, err
		}
		if log.Starts, err = s.Brokers.Starts(ctx, topic); err != nil {
			return log, err
		}
		ends, err := s.Brokers.Ends(ctx, topic)
		if err != nil {
			return log, err
		}
		log.Ends, log.Epochs = Offsets(ends), make([]int32, len(ends))
		for p, m := range ends {
			log.Epochs[p] = m.Epoch
		}
		if log.TopicID, err = s.Brokers.TopicID(ctx, topic); err != nil {
			return log, err
		}
		if id == log.TopicID && len(log.Starts) == len(log.Ends) {
			return log, nil
		}
	}
}

// lost is what logs lost of an incarnation, by partition.
type lost struct {
	incarnations int
	reached      map[int32]schemas.Reached
}

// Lost implements Positions.
func (s *Settler) Lost(topic schemas.Topic, l schemas.Lineage, partition int32, r schemas.Reached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, known := s.lost[topic]
	if !known || of.incarnations != len(l) {
		of = lost{len(l), map[int32]schemas.Reached{}}
	}
	if before, is := of.reached[partition]; is {
		r = schemas.Reached{Offset: max(r.Offset, before.Offset), Diverges: min(r.Diverges, before.Diverges)}
	}
	of.reached[partition] = r
	s.lost[topic] = of
}

// lostOf returns the losses that Lost was given for an incarnation.
func (s *Settler) lostOf(topic schemas.Topic, l schemas.Lineage) map[int32]schemas.Reached {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := s.lost[topic]; of.incarnations == len(l) {
		return maps.Clone(of.reached)
	}
	return nil
}
