package simulate

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// contacts are who interactions may name.
var contacts = []string{"", "c0", "c1"}

const (
	tenants = 2
	// The years that interactions began in, each a partition of the table.
	firstYear, years = 2024, 3
)

// row makes what a topic has rows of: key chooses its identity, so that several are versions of one.
func (w *world) row(t *topicLog, key, flavour int) *content {
	if t.of() == schemas.TopicContacts {
		return w.contact(key)
	}
	return w.interaction(key, flavour)
}

// contact makes a contact of those that interactions name.
func (w *world) contact(key int) *content {
	w.model.numbers++
	key %= tenants * (len(contacts) - 1)
	body, err := schemas.Encode(&schemas.Contact{
		ContactID: contacts[1+key/tenants], TenantID: tenant(key), Notes: fmt.Sprint("number ", w.model.numbers),
		CreatedAt: schemas.TimeOf(time.Date(firstYear+key%years, 2, 1+key, 0, 0, 0, 0, time.UTC)),
	})
	if err != nil {
		panic(err)
	}
	read, err := schemas.DecodeContact(body)
	if err != nil {
		panic(err)
	}
	return &content{w.model.numbers, string(read.Body), pipelinetest.RowOf(read)}
}

func (w *world) interaction(key, flavour int) *content {
	w.model.numbers++
	started := time.Date(firstYear+key%years, 3, 1+key%20, 0, 0, 0, 0, time.UTC)
	e := &schemas.Interaction{
		InteractionID: fmt.Sprintf("i%d", key), TenantID: tenant(key),
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
	t := w.source(b / 30)
	for n := range a%3 + 1 {
		key := (a/3 + n) % keys
		event := w.row(t, key, b+n)
		partition := murmur([]byte(event.event.InteractionID), len(t.partitions))
		if c%4 == 0 { // kcat and other clients of librdkafka
			partition = int(crc32.ChecksumIEEE([]byte(event.event.InteractionID)) % uint32(len(t.partitions)))
		}
		w.add(t.partitions[partition], event, event.event.InteractionID, &entry{})
	}
	return true
}

func (w *world) produceKeyless(a, b, c int) bool {
	t := w.source(b / 30)
	w.add(t.partitions[c%len(t.partitions)], w.row(t, a%keys, b), "", &entry{})
	return true
}

// nonsense is what no event of a topic looks like: each is to be dead-lettered.
var nonsense = map[schemas.Topic][]string{
	schemas.TopicInteractions: append([]string{"", "{", "null", `{"interaction_id":"i1"}`, "\xff\xfe"}, almost(
		`"interaction_id":"i1","tenant_id":"acme","media_type":"chat","started_at":"2024-03-02T00:00:00.000Z"`,
		`"text":"once","text":"twice"`,
		`"TEXT":"loud"`, `"Attributes":{"region":"north"}`,
		`"attributes":{"region":"north","region":"south"}`,
		`"text":1e400`, `"attributes":{"n":18446744073709551616}`,
		`"text":"`+"\xed\xa0\x80"+`"`,
		`"attributes":`+strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000),
		`"started_at":"0000-00-00T00:00:00Z"`,
	)...),
	schemas.TopicContacts: append([]string{"", "{", "null", `{"contact_id":"i1"}`, "\xff\xfe"}, almost(
		`"contact_id":"i1","tenant_id":"acme","created_at":"2024-03-02T00:00:00.000Z"`,
		`"notes":"once","notes":"twice"`,
		`"Emails":["a@example.com"]`, `"attributes":{"region":"north","region":"south"}`,
		`"notes":1`, `"notes":"`+"\xed\xa0\x80"+`"`,
		`"created_at":"0000-00-00T00:00:00Z"`,
	)...),
}

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

func (w *world) produceNonsense(a, b, c int) bool {
	t := w.source(b)
	w.model.numbers++
	text := nonsense[t.of()][a%len(nonsense[t.of()])]
	w.add(t.partitions[c%len(t.partitions)], &content{w.model.numbers, text, nil}, "x", &entry{})
	return true
}

func (w *world) produceHuge(a, b, c int) bool {
	t := w.source(b)
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
	t, tx := w.source(c/4), &transaction{began: w.now()}
	for n := range a%2 + 1 {
		p := t.partitions[(c+n)%len(t.partitions)]
		for k := range b%2 + 1 {
			event := w.row(t, (a+k)%keys, b+k)
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
