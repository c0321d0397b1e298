package consumers

// recordOverhead is about what a record costs in memory besides its bytes.
const recordOverhead = 256

// sizeOf is the memory of records, in bytes.
func sizeOf(records []fetched) int64 {
	var n int64
	for _, r := range records {
		n += recordOverhead + int64(len(r.Key)+len(r.Value))
		for _, h := range r.Headers {
			n += int64(len(h.Key) + len(h.Value))
		}
	}
	return n
}
