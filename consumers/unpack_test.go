package consumers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/twmb/franz-go/pkg/kgo"
)

var codecs = map[string]struct {
	codec kgo.CompressionCodec
	kind  kgo.CompressionCodecType
}{
	"gzip": {kgo.GzipCompression(), kgo.CodecGzip}, "snappy": {kgo.SnappyCompression(), kgo.CodecSnappy},
	"lz4": {kgo.Lz4Compression(), kgo.CodecLz4}, "zstd": {kgo.ZstdCompression(), kgo.CodecZstd},
}

// packed compresses as the client does.
func packed(t testing.TB, codec kgo.CompressionCodec, content []byte) []byte {
	t.Helper()
	c, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := c.Compress(new(bytes.Buffer), content)
	return bytes.Clone(out)
}

// framed is what the Java client calls Snappy.
func framed(blocks ...[]byte) []byte {
	out := append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
	for _, b := range blocks {
		block := s2.EncodeSnappy(nil, b)
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(block))), block...)
	}
	return out
}

func TestBatchesOfEveryCodecAreUnpackedOrSaidToBeTooLargeOrBroken(t *testing.T) {
	content := []byte(strings.Repeat(event("e")+"\n", 500))
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			u := newUnpacker()
			whole := packed(t, c.codec, content)
			if got, err := u.Decompress(whole, c.kind); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes were unpacked, %v", len(got), err)
			}
			for cut := range len(whole) {
				if got, err := u.Decompress(whole[:cut], c.kind); err == nil && !bytes.HasPrefix(content, got) || err != nil && !errors.Is(err, kgo.ErrMaxDecompress) {
					t.Fatalf("cut at %d, %d bytes were unpacked, %v", cut, len(got), err)
				}
			}
			random := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				broken := bytes.Clone(whole)
				broken[random.IntN(len(broken))] ^= byte(1 << random.IntN(8))
				if _, err := u.Decompress(broken, c.kind); err != nil && !errors.Is(err, kgo.ErrMaxDecompress) {
					t.Fatalf("of a broken batch it says %v", err)
				}
				u.polled(nil)
			}
			absurd := packed(t, c.codec, make([]byte, MaxBatchBytes+1))
			if got, err := u.Decompress(absurd, c.kind); !errors.Is(err, kgo.ErrMaxDecompress) {
				t.Errorf("an absurd batch was unpacked to %d bytes, %v", len(got), err)
			}
		})
	}
	u := newUnpacker()
	if got, err := u.Decompress(framed(content[:100], content[100:]), kgo.CodecSnappy); err != nil || !bytes.Equal(got, content) {
		t.Errorf("of the Java client's Snappy %d bytes were unpacked, %v", len(got), err)
	}
	for _, broken := range [][]byte{framed(content)[:18], append(framed(content), 0, 0, 0, 9), append(framed(), 255, 255, 255, 255, 1)} {
		if _, err := u.Decompress(broken, kgo.CodecSnappy); !errors.Is(err, kgo.ErrMaxDecompress) {
			t.Errorf("of broken frames it says %v", err)
		}
	}
}

func TestWhatIsUnpackedBetweenTwoPollsIsBounded(t *testing.T) {
	u := newUnpacker()
	batch := packed(t, kgo.ZstdCompression(), make([]byte, 20<<20))
	unpacked := 0
	for range 50 { // in one fetch, a few kilobytes each
		out, err := u.Decompress(batch, kgo.CodecZstd)
		if err != nil && !errors.Is(err, errLater) {
			t.Fatal(err)
		}
		unpacked += len(out)
	}
	if unpacked == 0 || unpacked > maxUnpacked {
		t.Errorf("%d bytes were unpacked at once, want some, and at most %d", unpacked, maxUnpacked)
	}
	fetches := kgo.Fetches{{Topics: []kgo.FetchTopic{{Partitions: []kgo.FetchPartition{{Err: errLater}}}}}}
	if u.polled(fetches); fetches.Err() != nil {
		t.Errorf("the poll returned %v", fetches.Err())
	}
	if _, err := u.Decompress(batch, kgo.CodecZstd); err != nil {
		t.Errorf("after the poll: %v", err)
	}
}

// TestManyAbsurdBatchesInOneFetchAllComeThrough has each batch unpack to nearly the bound.
func TestManyAbsurdBatchesInOneFetchAllComeThrough(t *testing.T) {
	c, s := newCluster(t, 2), newTable()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(string(topic)), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerBatchMaxBytes(100<<20), kgo.BrokerMaxWriteBytes(200<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	large := strings.Repeat("a", 30<<20)
	for n := range 10 {
		for p := range int32(2) {
			for _, v := range []string{large, event("e")} {
				if err := client.ProduceSync(t.Context(), &kgo.Record{Partition: p, Value: []byte(v)}).FirstErr(); err != nil {
					t.Fatal(n, err)
				}
			}
		}
	}
	join(t, c, s)
	s.await(t, "20 events are stored and 20 records dead-lettered", func() bool { return len(s.rows) == 20 && len(s.letters) == 20 })
}

func FuzzUnpack(f *testing.F) {
	for _, c := range codecs {
		f.Add(packed(f, c.codec, []byte(event("e"))), int8(c.kind))
	}
	f.Add(framed([]byte("a"), []byte("b")), int8(kgo.CodecSnappy))
	f.Fuzz(func(t *testing.T, src []byte, codec int8) {
		u := newUnpacker()
		out, err := u.Decompress(src, kgo.CompressionCodecType(codec))
		if err == nil && codec != int8(kgo.CodecNone) && len(out) > MaxBatchBytes || err != nil && !errors.Is(err, kgo.ErrMaxDecompress) {
			t.Errorf("%d bytes, %v", len(out), err)
		}
	})
}
