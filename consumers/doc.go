// Package consumers moves the records of one Kafka topic to a handler, and commits
// what was handled. It knows neither what the events mean nor where they go: roles
// (ingest, history, export) are handlers.
//
// The guarantee is at least once, in order within a partition: no offset is
// committed before every record below it was handled or dead-lettered. Handlers
// and dead-letter sinks are idempotent by position (topic, partition, offset), so
// the effect is exactly once: produced = stored + dead-lettered.
//
// # One record's journey
//
// Run polls. A polled record joins the queue of its partition, which has one
// goroutine of its own. That goroutine cuts the queue into batches (full by count,
// by bytes, or by Linger) and gives each a place in the partition's order. A batch
// is decoded; what cannot be read goes to DeadLetters, the rest to Handler, both
// repeated with backoff for as long as the partition is ours. Then the batch is
// done. When every batch before it is done too, the partition's position moves past
// it, and the committer writes that position to Kafka, at once if it was idle and
// a hundred times a second at most otherwise.
//
// A rebalance ends it in the same order: the partition's context is cancelled, its
// goroutines are awaited, the position is committed, and only then may another
// member have the partition. Cancelling Run does likewise for all partitions, but
// lets handlers that are at work finish within Drain first.
//
// # Memory
//
// Records that were polled and are not yet handled count towards MaxBuffered. Each
// partition has an equal share. While one holds its share nothing is polled; one
// that still does after a second is paused, until half of it is handled, and the
// others go on. So a partition that is stuck never starves another. What can be
// held beyond MaxBuffered is one fetch, unpacked to at most 80 MiB: brokers limit what
// travels, and a kilobyte can unpack to gigabytes (see unpacker).
//
// # Traces
//
// Given a Tracer, each batch has a span: at the root of a trace, with links to up to 32 of
// the records whose traces are kept; or, with SpanPerRecord, below where the record was
// published, so that its trace goes on. Repetitions are events of it. Without a Tracer
// nothing is made and no header is read.
//
// # Metrics
//
//	cdds_consumer_records_total{group}            records handled or dead-lettered
//	cdds_consumer_dead_letters_total{group,code}  records dead-lettered, by reason code
//	cdds_consumer_batches_total{group}            batches done
//	cdds_consumer_retries_total{group}            failed attempts of Handle or Put
//	cdds_consumer_handle_seconds{group}           duration of one Handle call
//	cdds_consumer_lag_records{group}              records in owned partitions not yet handled
//	cdds_consumer_trimmed_records_total{group}    records the broker deleted before they were read
//	cdds_consumer_resets_total{group}             times a partition went back to an earlier offset
//	cdds_consumer_commit_failures_total{group}    commits refused or timed out; they are repeated
//
// # Non-obvious
//
//   - Kafka's client says once that it refused to unpack a batch, and stops reading the
//     partition; with what it has fetched it may throw that word away, see reader.
//   - The committer holds Group.committing from reading positions until Kafka has answered,
//     and a revocation takes the same turn. Kafka checks a commit's generation, not
//     who owns the partition: a commit prepared before a rebalance and sent after it
//     would be accepted, and would rewind what the new owner has committed.
//   - Assignment, revocation and loss never run between a poll and the next Allow
//     (BlockRebalanceOnPoll), and between the two we only append to queues. So a
//     record never joins the queue of a partition that we no longer own, and a slow
//     handler never delays a rebalance by more than it takes to obey its context.
//   - A pause is decided, told to the client and undone under the partition's lock.
//     Decided under it but told outside, a resume could overtake the pause and the
//     partition would stay silent for ever.
//   - A pause outlives the assignment inside the client, so a partition that goes
//     away is resumed, and can not be paused after that.
//   - Order is the order in which batches were cut, not a comparison of offsets: a
//     log that lost its tail starts again at a lower offset, and the position has to
//     follow it down.
//   - Control records (transaction markers) are fetched though nobody reads them: a
//     log may end with one, and whoever waits for the group to reach the end of the
//     log would wait for ever. Aborted records are never seen (read committed).
//   - A cancelled Run does not wait for a batch that sits in its backoff: it has no
//     work in hand, and it comes again from the same offset.
package consumers
