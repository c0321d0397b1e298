package smime_test

import (
	"bytes"
	"testing"

	"cdds/pipeline/smime"
)

func TestSealingTheSameContentAgainGivesTheSameBytes(t *testing.T) {
	for _, encoding := range encodings {
		content := random(300_001)
		p, err := smime.Prepare(smime.Options{Encoding: encoding, ContentSize: int64(len(content))}, certsOf(people())...)
		if err != nil {
			t.Fatal(err)
		}
		var messages [2]bytes.Buffer
		for i := range messages {
			w, err := p.Encrypt(&messages[i])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(messages[0].Bytes(), messages[1].Bytes()) || int64(messages[0].Len()) != p.Size() {
			t.Errorf("%v: %d and %d bytes, announced were %d", encoding, messages[0].Len(), messages[1].Len(), p.Size())
		}
		one := people()[0]
		if got, err := open(messages[1].Bytes(), one.cert, one.key); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%v: it opens as %d bytes, %v", encoding, len(got), err)
		}
	}
}

func TestAMessageOfGCMIsSealedOnce(t *testing.T) {
	p, err := smime.Prepare(smime.Options{Cipher: smime.AES256GCM, ContentSize: 1}, people()[0].cert)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Encrypt(&bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Encrypt(&bytes.Buffer{}); err == nil {
		t.Error("it was sealed twice under one nonce")
	}
}
