package schemas

// Record is an event and the position it was read from.
type Record[E any] struct {
	Event     E
	Partition int32
	// Offset is the record's position in Partition; see Lineage.
	Offset int64
	// Time is the record's Kafka timestamp.
	Time Time
	// Trace is the span it is handled in, as a traceparent (W3C Trace Context); empty if it
	// has none of its own.
	Trace string
}

// Batch is consecutive records of one partition, in order. Positions run from First to
// Next, exclusive; those without a record were dead-lettered, compacted away or control
// records.
type Batch[E any] struct {
	Topic     Topic
	Partition int32
	First     int64
	Next      int64
	Records   []Record[E]
}

// DeadLetter is a record that could not be read: where it was, why, and its original
// bytes. Or it is a batch of records that was not unpacked because it is absurdly large:
// then there are no bytes, and Next says where the batch ends.
type DeadLetter struct {
	Topic     Topic
	Partition int32
	// Offset is the record's position, or that of the first record of a batch.
	Offset int64
	// Next is the position after the last record of a batch; 0 for a single record.
	Next    int64
	Time    Time
	Key     []byte
	Value   []byte
	Headers []Header
	// Code is one of the Code constants; Reason a sentence.
	Code   string
	Reason string
}

// Header is a Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// Run is the positions of the letter.
func (l DeadLetter) Run() Run { return Run{l.Partition, l.Offset, max(l.Next, l.Offset+1)} }

// Void is a run of positions [First, Next) of a partition that hold no record for
// readers: a mark of a transaction, an aborted record, a record compacted away.
type Void struct {
	Topic     Topic
	Partition int32
	First     int64
	Next      int64
}
