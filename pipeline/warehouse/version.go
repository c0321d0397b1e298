package warehouse

import "io"

// Lines are JSON Lines as they are read, and which versions of rows they are of.
type Lines interface {
	io.ReadCloser
	// Sum is what VersionOf the lines that were begun so far comes to.
	Sum() uint64
}

// VersionOf is a number that hardly any other position has. The sum of those of chosen
// versions, modulo 2^64 and in any order, tells choices apart: what ClickHouse gives while it
// lacks records, older versions of as many bytes perhaps, has another one than the plan. It is
// computed in ClickHouse by versionOf.
func VersionOf(partition int32, offset int64) uint64 {
	x := (uint64(offset) ^ uint64(partition)<<48) ^ 0x4cf2d2baae6da887
	// The finalizer of MurmurHash3, https://github.com/aappleby/smhasher.
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// versionOf is VersionOf the row at hand. See intHash64 in ClickHouse's hash functions.
const versionOf = "intHash64(bitXor(toUInt64(source_offset), bitShiftLeft(toUInt64(source_partition), 48)))"
