// Package pipeline turns accepted export requests into stored artifacts: it plans
// exactly, exports part by part, and proves the whole with a signed manifest.
//
// # One export's journey
//
// [Accept] records, once and for all, which request an export id stands for and
// the snapshot of the source topic at that moment. [Exporter.Plan] reads key
// columns as of the snapshot and cuts them into parts with exact row counts and
// sizes; the plan is stored too. [Exporter.Export] writes one part: query, JSON
// Lines, zip, S/MIME, one conditional put. [Exporter.Finish] stores the manifest
// and its signature.
//
// # Non-obvious
//
// Every object is written once (If-None-Match: *) and whoever comes second adopts
// what is there. So the bucket, not any worker's memory, decides which snapshot,
// plan, part and manifest count: retries, takeovers and workers believed dead are
// harmless, and resuming is looking what exists.
//
// JSON Lines and zips are functions of the snapshot: equal snapshot, equal bytes.
// The S/MIME layer is random by nature. Receipts therefore carry the digests of
// all three, and a part found in the store is adopted if rows and sizes are what
// the plan says.
//
// A part is spooled in memory, zipped and then sealed, because the length of the
// message stands at its head and its digest travels with the put. The spool is
// bounded across parts; plaintext never touches a disk.
package pipeline
