package schemas

import "maps"

// Log is what Kafka says of a topic at a moment.
type Log struct {
	Topic Topic
	// TopicID is empty where the brokers know none.
	TopicID string
	// Starts and Ends are, per partition, the first offset the log has and its high watermark;
	// Epochs the leader epochs that were reported with it, -1 where brokers know none.
	Starts, Ends Snapshot
	Epochs       []int32
}

// Reached is how far the log of a partition is known to have been read.
type Reached struct {
	// Offset is the first one that was not read.
	Offset int64
	// Diverges is where the log of the brokers and the one that was read part, by their
	// leader epochs (KIP-320); -1 if that is not known.
	Diverges int64
	// Committed is what of it groups have committed: the rest was read a moment ago, or by who
	// is gone.
	Committed int64
}

// Next returns the incarnation that a log demands beside those that are known; false if it
// is the present one. reached is what is known to have been read of the present one, used
// are the first positions not known to be used. It decides nothing: see pipeline.
func (l Lineage) Next(log Log, reached map[int32]Reached, used map[int32]int64) (Incarnation, bool) {
	next := Incarnation{Topic: log.Topic, Number: len(l), TopicID: log.TopicID}
	now, known := l.Now()
	if !known {
		next.Cause = IncarnationFirst
		next.Begins = begins(log.Starts)
		next.Epochs = log.epochs(next)
		return next, true
	}
	next.Ends = map[int32]int64{}
	if log.TopicID != now.TopicID && log.TopicID != "" && now.TopicID != "" {
		next.Cause, next.Begins, next.Ends = IncarnationReplaced, begins(log.Starts), maps.Clone(used)
		next.Epochs = log.epochs(next)
		return next, true
	}
	next.Begins = map[int32]int64{}
	for p, r := range reached {
		at, end := r.Diverges, end(log, p)
		if at < 0 || at > end {
			at = end
		}
		if at >= r.Offset {
			continue
		}
		if r.Diverges < 0 {
			// It is shorter than what was read, and nothing tells from where on it is another: to go
			// on from its end would skip new records, to read some again stores them twice.
			begin, _ := l.Begin(p)
			at = min(end, max(r.Committed, begin))
		}
		next.Begins[p], next.Ends[p] = at, max(used[p], l.Position(p, r.Offset))
	}
	if len(next.Begins) == 0 {
		return Incarnation{}, false
	}
	next.Cause = IncarnationTruncated
	if log.TopicID == "" {
		// Nothing tells a log that lost its tail from a topic that was made again. Reading all
		// of it stores some records twice; reading on from its end would skip those of a new one.
		next.Cause, next.Begins, next.Ends = IncarnationReplaced, begins(log.Starts), maps.Clone(used)
	}
	next.Epochs = log.epochs(next)
	return next, true
}

// epochs are those of the partitions that begin anew with an incarnation, past offset 0.
func (log Log) epochs(i Incarnation) map[int32]int32 {
	all := map[int32]int32{}
	for p, at := range i.Begins {
		if at > 0 && int(p) < len(log.Epochs) && log.Epochs[p] >= 0 {
			all[p] = log.Epochs[p]
		}
	}
	return all
}

func end(log Log, partition int32) int64 {
	if int(partition) < len(log.Ends) {
		return log.Ends[partition]
	}
	return 0 // a partition that is gone
}

func begins(starts Snapshot) map[int32]int64 {
	all := map[int32]int64{}
	for p, at := range starts {
		if at > 0 {
			all[int32(p)] = at
		}
	}
	return all
}
