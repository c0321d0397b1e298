package app_test

import (
	"strings"
	"testing"

	"cdds/ops/connect"
	"cdds/schemas"
)

// Each of these is two documents to two readers of JSON: it is refused by the first one
// that reads it, with the member named, and nothing else suffers.
func TestWhatTwoReadersWouldReadDifferentlyIsRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history", "erasure")
	const of = `"tenant_id":"acme","media_type":"email","started_at":"2026-09-01T10:00:00.000Z"`
	refused := map[string]string{
		`{"interaction_id":"call\ud83d",` + of + `}`:                 "interaction_id: is not Unicode text",
		`{"interaction_id":"call\ud83c",` + of + `}`:                 "interaction_id: is not Unicode text",
		`{"interaction_id":"one",` + of + `,"contact_id":"p\ud83d"}`: "contact_id: is not Unicode text",
		`{"interaction_id":"twice",` + of + `,"attachments":[{"attachment_id":"x","name":"a.txt","content":"aGk=","content":"aG8="}]}`: `member "/attachments/0/content" appears twice`,
		`{"interaction_id":"case",` + of + `,"attachments":[{"attachment_id":"x","content":"aGk=","Content":"aG8="}]}`:                 `member "/attachments/0/Content" must be written "content"`,
		`{"interaction_id":"upper",` + of + `,"attachments":[{"attachment_id":"a","CONTENT":"QUJD"}]}`:                                 `member "/attachments/0/CONTENT" must be written "content"`,
	}
	for value := range refused {
		w.produce(schemas.TopicInteractions, nil, []byte(value))
	}
	w.produce(schemas.TopicInteractions, nil, []byte(`{"interaction_id":"three",`+of+`,"contact_id":"q","text":"cut \ud83d"}`))
	for _, letter := range w.deadLetters(schemas.TopicInteractions, len(refused)) {
		if got, want := header(letter, schemas.HeaderReason), refused[string(letter.Value)]; !strings.HasPrefix(got, want) {
			t.Errorf("%s: the reason is %q, want %q", letter.Value, got, want)
		}
	}

	const ids = `"tenant_id":"acme","entity":"interaction","from":"2026-09-01T00:00:00Z","to":"2026-09-02T00:00:00Z","recipients":[{"fingerprint":"`
	for id, c := range map[string]struct{ member, reason string }{
		"twice":   {`"entity":"contact"`, `member "/entity" appears twice`},
		"case":    {`"Entity":"contact"`, `member "/Entity" must be written "entity"`},
		"unknown": {`"media_type":["chat"]`, `member "/media_type" is unknown`},
	} {
		w.produce(schemas.TopicExportRequests, []byte(id), []byte(`{"export_id":"`+id+`",`+ids+strings.Repeat("ab", 32)+`"}],`+c.member+`}`))
		if e := w.await("acme", id); e.State != schemas.Refused || !strings.Contains(e.Reason, c.reason) {
			t.Errorf("%s: it is %s because %q, want refused, saying %q", id, e.State, e.Reason, c.reason)
		}
	}

	w.produce(schemas.TopicErasureRequests, []byte("e"), []byte(`{"erasure_id":"e","tenant_id":"acme","contact_id":"p\ud83d"}`))
	w.produce(schemas.TopicErasureRequests, []byte("f"), []byte(`{"erasure_id":"f","tenant_id":"acme","contact_id":"p","Contact_ID":"q"}`))
	reasons := ""
	for _, letter := range w.deadLetters(schemas.TopicErasureRequests, 2) {
		reasons += header(letter, schemas.HeaderReason) + "\n"
	}
	for _, want := range []string{`member "/contact_id" is not Unicode text`, `member "/Contact_ID" must be written "contact_id"`} {
		if !strings.Contains(reasons, want) {
			t.Errorf("no erasure was refused with %s, but:\n%s", want, reasons)
		}
	}

	w.publish(w.request("acme", "whole"))
	if e := w.await("acme", "whole"); e.State != schemas.Completed || e.Done.Rows != 1 {
		t.Errorf("it is %s with %d rows, %+v; want the one interaction that is read one way", e.State, e.Done.Rows, e.Failure)
	}
}

func TestAnExportByAttributesHasEveryRowThatHasThemOrSaysWhichMayHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	for id, member := range map[string]string{"plain": `"x":1`, "lone-surrogate": `"text":"cut \ud83d"`, "big-integer": `"crm_id":18446744073709551616`} {
		w.produce(schemas.TopicInteractions, []byte(id), []byte(`{"interaction_id":"`+id+`","tenant_id":"acme","media_type":"voice","started_at":"2026-09-01T10:00:00.000Z","attributes":{"region":"north"},`+member+`}`))
	}
	w.publish(interaction("acme", 1))
	north := w.request("acme", "north")
	north.Attributes = map[string]string{"region": "north"}
	w.publish(north)
	if e := w.await("acme", "north"); e.State != schemas.Completed || e.Done.Rows != 3 {
		t.Errorf("it is %s with %d rows, %+v; want the three of the north", e.State, e.Done.Rows, e.Failure)
	}

	conn, err := connect.ClickHouse(w.config.ClickHouse)
	check(t, err)
	defer conn.Close()
	// As it would be, had a release stored it that did not note attributes.
	check(t, conn.Exec(t.Context(), "ALTER TABLE interactions UPDATE stated = false, attributes = map() WHERE interaction_id = 'plain' SETTINGS mutations_sync = 2"))
	again := *north
	again.ExportID = "again"
	w.publish(&again)
	e := w.await("acme", "again")
	if e.State != schemas.Failed || e.Failure.Retryable || !strings.Contains(e.Failure.Reason, `interaction "plain" of 2026-09-01T10:00:00.000Z`) {
		t.Errorf("it is %s with %d rows, %+v; want the row that may be missing named", e.State, e.Done.Rows, e.Failure)
	}
}
