package consumers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// MaxBatchBytes is how large a batch of records may be when it is unpacked. Brokers limit
	// compressed sizes only: some kilobytes can unpack to gigabytes. A batch over this, or one
	// that does not unpack at all, is dead-lettered by its positions, without being held.
	MaxBatchBytes = 32 << 20
	// maxUnpacked bounds what is unpacked between two polls, over all batches: a fetch of a
	// megabyte can have hundreds of small ones that unpack to MaxBatchBytes each.
	maxUnpacked = 48 << 20
)

// errLater says that a batch is not unpacked in this fetch. The client hands out what it
// has unpacked before, and fetches the rest again.
var errLater = errors.New("enough is unpacked for now")

// unpacker decompresses batches for one client, in bounded memory. It takes the place of
// the client's own decompressor, which bounds single batches only.
type unpacker struct {
	unpacked atomic.Int64
	zstd     sync.Pool
	refusals refusals
}

func newUnpacker() *unpacker {
	return &unpacker{zstd: sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxBatchBytes))
		if err != nil {
			panic("consumers: zstd: " + err.Error()) // of options that are constant
		}
		return d
	}}}
}

// polled takes note that what was unpacked was handed out, and returns the fetches without
// the word that the rest comes later.
func (u *unpacker) polled(fetches kgo.Fetches) kgo.Fetches {
	u.unpacked.Store(0)
	for _, f := range fetches {
		for _, t := range f.Topics {
			for i := range t.Partitions {
				switch p := &t.Partitions[i]; {
				case errors.Is(p.Err, errLater):
					p.Err = nil
				case errors.Is(p.Err, kgo.ErrMaxDecompress):
					u.refusals.reported()
				}
			}
		}
	}
	return fetches
}

// Decompress implements kgo.Decompressor. An error that is kgo.ErrMaxDecompress stops the
// partition at the batch; see Group.pass.
func (u *unpacker) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	held := u.unpacked.Load()
	if held >= maxUnpacked {
		return nil, errLater
	}
	out, err := u.unpack(src, codec)
	if err != nil {
		u.refusals.add(time.Now())
		return nil, fmt.Errorf("%w: %w", kgo.ErrMaxDecompress, err)
	}
	if held > 0 && held+int64(len(out)) > maxUnpacked {
		return nil, errLater
	}
	u.unpacked.Add(int64(len(out)))
	return out, nil
}

// errTooLarge says that a batch has more than MaxBatchBytes.
var errTooLarge = fmt.Errorf("it has more than %d bytes", MaxBatchBytes)

func (u *unpacker) unpack(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	switch codec {
	case kgo.CodecGzip:
		r, err := gzip.NewReader(bytes.NewReader(src))
		if err != nil {
			return nil, err
		}
		return readBounded(r)
	case kgo.CodecLz4:
		return readBounded(lz4.NewReader(bytes.NewReader(src)))
	case kgo.CodecSnappy:
		return unsnap(src)
	case kgo.CodecZstd:
		d := u.zstd.Get().(*zstd.Decoder)
		defer u.zstd.Put(d)
		return d.DecodeAll(src, nil)
	}
	return nil, fmt.Errorf("compression %d is unknown", codec)
}

func readBounded(r io.Reader) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, MaxBatchBytes+1))
	if err == nil && len(out) > MaxBatchBytes {
		err = errTooLarge
	}
	return out, err
}

// xerial begins what the Java client calls Snappy: the magic, two versions, and then
// blocks, each after its length as a big-endian integer
// (https://github.com/xerial/snappy-java, SnappyOutputStream).
var xerial = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

// unsnap decompresses a Snappy block, or the blocks of the Java client.
func unsnap(src []byte) ([]byte, error) {
	if len(src) < xerialHeader || !bytes.HasPrefix(src, xerial) {
		return unsnapBlock(nil, src)
	}
	var out []byte
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := int64(binary.BigEndian.Uint32(src))
		if src = src[4:]; n > int64(len(src)) {
			return nil, io.ErrUnexpectedEOF
		}
		var err error
		if out, err = unsnapBlock(out, src[:n]); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return out, nil
}

// unsnapBlock appends a Snappy block to what was decompressed before it.
func unsnapBlock(out, block []byte) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if len(out)+n > MaxBatchBytes {
		return nil, errTooLarge
	}
	decoded, err := s2.Decode(nil, block)
	if err != nil {
		return nil, err
	}
	if out == nil {
		return decoded, nil
	}
	return append(out, decoded...), nil
}
