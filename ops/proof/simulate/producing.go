package simulate

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"cdds/schemas"
)

// contacts are who interactions may name.
var contacts = []string{"", "c0", "c1"}

const (
	tenants = 2
	// The years that interactions began in, each a partition of the table.
	firstYear, years = 2024, 3
)

// event makes an interaction: key chooses its identity, so that several are versions of one.
func (w *world) event(key, flavour int) *content {
	w.model.numbers++
	started := time.Date(firstYear+key%years, 3, 1+key%20, 0, 0, 0, 0, time.UTC)
	e := &schemas.Interaction{
		InteractionID: fmt.Sprintf("i%d", key), TenantID: []string{"acme", "globex"}[key%tenants],
		MediaType: []string{"chat", "voice"}[flavour%2], Queue: []string{"", "sales", "support"}[flavour%3], ContactID: contacts[(key/2+flavour)%len(contacts)],
		StartedAt: schemas.TimeOf(started), Text: fmt.Sprint("number ", w.model.numbers),
	}
	if flavour%5 == 3 {
		w.attach(e)
	}
	body, err := schemas.Encode(e)
	if err != nil {
		panic(err)
	}
	read, err := schemas.DecodeInteraction(body)
	if err != nil {
		panic(err)
	}
	return &content{w.model.numbers, string(read.Body), read}
}

// add appends a record to a partition of the topic with rows.
func (w *world) add(p *partitionLog, c *content, key string, e *entry) *entry {
	e.content, e.value = c, []byte(c.body)
	if key != "" {
		e.key = []byte(key)
	}
	p.append(e, w.now())
	w.model.produced(e)
	return e
}

// keys is how many interactions there are at most.
const keys = 8

func (w *world) produce(a, b, c int) bool {
	t := w.source()
	for n := range a%3 + 1 {
		key := (a/3 + n) % keys
		event := w.event(key, b+n)
		partition := murmur([]byte(event.event.InteractionID), len(t.partitions))
		if c%4 == 0 { // kcat and other clients of librdkafka
			partition = int(crc32.ChecksumIEEE([]byte(event.event.InteractionID)) % uint32(len(t.partitions)))
		}
		w.add(t.partitions[partition], event, event.event.InteractionID, &entry{})
	}
	return true
}

func (w *world) produceKeyless(a, b, c int) bool {
	t := w.source()
	w.add(t.partitions[c%len(t.partitions)], w.event(a%keys, b), "", &entry{})
	return true
}

// nonsense is what no event looks like: each is to be dead-lettered.
var nonsense = append([]string{"", "{", "null", `{"interaction_id":"i1"}`, "\xff\xfe"}, almost(
	`"interaction_id":"i1","tenant_id":"acme","media_type":"chat","started_at":"2024-03-02T00:00:00.000Z"`,
	`"text":"once","text":"twice"`,
	`"TEXT":"loud"`, `"Attributes":{"region":"north"}`,
	`"attributes":{"region":"north","region":"south"}`,
	`"text":1e400`, `"attributes":{"n":18446744073709551616}`,
	`"text":"`+"\xed\xa0\x80"+`"`,
	`"attributes":`+strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000),
	`"started_at":"0000-00-00T00:00:00Z"`,
)...)

// almost are events that are right but for their last members, and some whose ids are no
// Unicode text.
func almost(right string, wrong ...string) (all []string) {
	for _, members := range wrong {
		all = append(all, "{"+right+","+members+"}")
	}
	for _, id := range []string{`\ud800`, `\udfff`, `a\ud83dz`} {
		all = append(all, "{"+strings.Replace(right, `"i1"`, `"`+id+`"`, 1)+"}", "{"+strings.Replace(right, `"acme"`, `"`+id+`"`, 1)+"}")
	}
	return all
}

func (w *world) produceNonsense(a, _, c int) bool {
	t := w.source()
	w.model.numbers++
	text := nonsense[a%len(nonsense)]
	w.add(t.partitions[c%len(t.partitions)], &content{w.model.numbers, text, nil}, "x", &entry{})
	return true
}

func (w *world) produceHuge(a, _, c int) bool {
	t := w.source()
	p := t.partitions[c%len(t.partitions)]
	first, n := p.end(), int64(a%3+1)
	for range n {
		w.model.numbers++
		w.add(p, &content{w.model.numbers, "", nil}, "x", &entry{huge: [2]int64{first, first + n}})
	}
	return true
}

func (w *world) begin(a, b, c int) bool {
	if len(w.open) >= 2 {
		return false
	}
	t, tx := w.source(), &transaction{began: w.now()}
	for n := range a%2 + 1 {
		p := t.partitions[(c+n)%len(t.partitions)]
		for k := range b%2 + 1 {
			event := w.event((a+k)%keys, b+k)
			w.add(p, event, event.event.InteractionID, &entry{txn: tx})
		}
		if !slices.Contains(tx.partitions, p) {
			tx.partitions = append(tx.partitions, p)
		}
	}
	w.open = append(w.open, tx)
	return true
}

func (w *world) endTransaction(a int, state txnState) bool {
	if len(w.open) == 0 {
		return false
	}
	n := a % len(w.open)
	tx := w.open[n]
	w.open = slices.Delete(slices.Clone(w.open), n, n+1)
	for _, e := range tx.end(state, w.steps, w.now()) {
		w.model.produced(e)
	}
	return true
}

// transactionTimeout is when brokers abort a transaction (transaction.max.timeout.ms).
const transactionTimeout = 15 * time.Minute

// abortOld aborts the transactions that were left open.
func (w *world) abortOld() {
	for n, tx := range slices.Backward(w.open) {
		if w.now().Sub(tx.began) >= transactionTimeout {
			w.endTransaction(n, txnAborted)
		}
	}
}

// murmur is the partition of Kafka's own clients.
func murmur(key []byte, partitions int) int {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(key))
	for len(key) >= 4 {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
		key = key[4:]
	}
	for i, b := range slices.Backward(key) {
		h ^= uint32(b) << (8 * i)
		if i == 0 {
			h *= m
		}
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int(h&0x7fffffff) % partitions
}
