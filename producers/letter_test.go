package producers_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"cdds/schemas"
)

// TestALetterOfAnyRecordFitsItsTopic publishes letters of records that no letter can hold
// whole: the broker compares compressed sizes, so a record may be as large as it likes.
func TestALetterOfAnyRecordFitsItsTopic(t *testing.T) {
	large := bytes.Repeat([]byte{'a'}, 12<<20)
	for name, test := range map[string]struct {
		letter      schemas.DeadLetter
		limit       int // 0 is what CDDS provisions
		headersKept string
		key         int // bytes of the key that are kept
	}{
		"a value of one letter":              {schemas.DeadLetter{Key: []byte("k"), Value: large}, 0, "true", 1},
		"a value of noise":                   {schemas.DeadLetter{Key: []byte("k"), Value: incompressible(12 << 20)}, 0, "true", 1},
		"a key":                              {schemas.DeadLetter{Key: large, Value: []byte("v")}, 0, "true", schemas.MaxDeadLetterBytes / 8},
		"headers":                            {schemas.DeadLetter{Key: []byte("k"), Value: []byte("v"), Headers: []schemas.Header{{Key: "h", Value: large}}}, 0, "false", 1},
		"a topic of an operator's":           {schemas.DeadLetter{Key: []byte("k"), Value: incompressible(2 << 20)}, 1 << 20, "true", 1},
		"a topic that takes next to nothing": {schemas.DeadLetter{Key: []byte("k"), Value: incompressible(2 << 20)}, 20 << 10, "true", 0},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newClusterThatTakes(t, cmp.Or(test.limit, schemas.MaxDeadLetterBytes))
			p := newPublisher(t, cluster, nil)
			l := test.letter
			l.Topic, l.Partition, l.Offset, l.Code, l.Reason = schemas.TopicInteractions, 1, 7, schemas.CodeTooLarge, strings.Repeat("r", 100_000)
			small := schemas.DeadLetter{Topic: l.Topic, Offset: 8, Value: []byte("small"), Reason: "it shares the batch"}
			if err := p.Put(t.Context(), []schemas.DeadLetter{l, small}); err != nil {
				t.Fatal(err)
			}
			smalls := 0
			for _, r := range consume(t, cluster, l.Topic.DeadLetter(), 2) {
				if header(r, schemas.HeaderOffset) == "8" {
					smalls++
					if string(r.Value) != "small" || header(r, schemas.HeaderValueBytes) != "" {
						t.Errorf("the small letter has the value %.20q and %v", r.Value, r.Headers)
					}
					continue
				}
				if !bytes.HasPrefix(l.Value, r.Value) || !bytes.HasPrefix(l.Key, r.Key) || len(r.Key) < test.key {
					t.Errorf("%d bytes of the key and %d of the value are kept, and they are no first bytes", len(r.Key), len(r.Value))
				}
				for key, want := range map[string]string{
					schemas.HeaderPartition: "1", schemas.HeaderOffset: "7", schemas.HeaderCode: schemas.CodeTooLarge,
					schemas.HeaderKeyBytes: fmt.Sprint(len(l.Key)), schemas.HeaderValueBytes: fmt.Sprint(len(l.Value)),
					schemas.HeaderValueSHA256: fmt.Sprintf("%x", sha256.Sum256(l.Value)), schemas.HeaderHeadersKept: test.headersKept,
				} {
					if got := header(r, key); got != want {
						t.Errorf("%s = %q, want %q", key, got, want)
					}
				}
			}
			if smalls != 1 {
				t.Errorf("of two letters %d are the small one", smalls)
			}
		})
	}
}
