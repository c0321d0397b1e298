package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unicode/utf8"

	"cdds/schemas"
)

// Run one with, for instance:
//
//	go test ./schemas -run='^$' -fuzz=FuzzDecodeInteraction -fuzztime=60s -fuzzminimizetime=1x
//
// Without the last option, nearly all the time goes into shrinking inputs.

func FuzzDecodeInteraction(f *testing.F) {
	f.Fuzz(func(t *testing.T, message []byte) {
		before := bytes.Clone(message)
		e, err := schemas.DecodeInteraction(message)
		if !bytes.Equal(message, before) {
			t.Fatalf("the message became %q", message)
		}
		if differs := schemas.ScanDiffers(message); differs != "" {
			t.Fatal(differs)
		}
		if err != nil {
			checkMalformed(t, err)
			return
		}
		if !json.Valid(e.Body) || !utf8.Valid(e.Body) || bytes.ContainsAny(e.Body, "\r\n") {
			t.Fatalf("the body %q is not one line of JSON", e.Body)
		}
		again, err := schemas.DecodeInteraction(e.Body)
		if err != nil {
			t.Fatalf("the body %q: %v", e.Body, err)
		}
		if !reflect.DeepEqual(again, e) {
			t.Fatalf("%q was read as %+v, its body as %+v", message, e, again)
		}
		// What a reader of the Go fields would publish is an event too.
		e.Body = nil
		rewritten, err := schemas.DecodeInteraction(encode(t, e))
		if err != nil || rewritten.Key() != e.Key() || rewritten.ID() != e.ID() {
			t.Fatalf("%+v was rewritten to %+v: %v", e, rewritten, err)
		}
	})
}

func FuzzDecodeExportRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, message []byte) {
		r, err := schemas.DecodeExportRequest(message)
		if err != nil {
			checkMalformed(t, err)
			return
		}
		if err := r.Validate(); err != nil && len(err.Error()) > 16<<10 {
			t.Fatalf("%d bytes of reasons", len(err.Error()))
		}
		encoded := encode(t, r)
		again, err := schemas.DecodeExportRequest(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if got := encode(t, again); !bytes.Equal(got, encoded) || again.Digest() != r.Digest() {
			t.Fatalf("%s became %s", encoded, got)
		}
		// An unknown member is refused and not carried on, so only this way round.
		if r.Validate() == nil && again.Validate() != nil {
			t.Fatalf("%s was valid, then %v", encoded, again.Validate())
		}
	})
}

func FuzzDecodeManifest(f *testing.F) {
	f.Fuzz(func(t *testing.T, document []byte) {
		m, err := schemas.DecodeManifest(document)
		if err != nil {
			checkMalformed(t, err)
			return
		}
		for _, part := range m.Parts {
			if filepath.Base(part.Name) != part.Name || !filepath.IsLocal(part.Name) {
				t.Fatalf("the name %q leaves its directory", part.Name)
			}
		}
		encoded := encode(t, m)
		again, err := schemas.DecodeManifest(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if got := encode(t, again); !bytes.Equal(got, encoded) {
			t.Fatalf("%s became %s", encoded, got)
		}
	})
}

func FuzzDecodeJob(f *testing.F) {
	f.Fuzz(func(t *testing.T, message []byte) { readsWhatItWrites(t, message, schemas.DecodeJob) })
}

func FuzzDecodeCertificate(f *testing.F) {
	f.Fuzz(func(t *testing.T, message []byte) { readsWhatItWrites(t, message, schemas.DecodeCertificate) })
}

// readsWhatItWrites checks that a definition that is read is written so that it reads
// the same.
func readsWhatItWrites[E schemas.Event](t *testing.T, message []byte, decode func([]byte) (E, error)) {
	e, err := decode(message)
	if err != nil {
		checkMalformed(t, err)
		return
	}
	encoded := encode(t, e)
	again, err := decode(encoded)
	if err != nil {
		t.Fatalf("%s: %v", encoded, err)
	}
	if got := encode(t, again); !bytes.Equal(got, encoded) {
		t.Fatalf("%s became %s", encoded, got)
	}
}

func checkMalformed(t *testing.T, err error) {
	t.Helper()
	var malformed *schemas.MalformedError
	if !errors.As(err, &malformed) {
		t.Fatalf("got %T %v, want a *MalformedError", err, err)
	}
	if malformed.Code == "" || malformed.Reason == "" || len(malformed.Reason) > 16<<10 || !utf8.ValidString(malformed.Reason) {
		t.Fatalf("code %q, reason of %d bytes: %q", malformed.Code, len(malformed.Reason), malformed.Reason)
	}
}

// Seeds that got lost would leave the fuzzer to guess what JSON is.
func TestEveryFuzzTargetHasSeeds(t *testing.T) {
	for _, target := range []string{"FuzzDecodeInteraction", "FuzzDecodeExportRequest", "FuzzDecodeManifest", "FuzzDecodeJob", "FuzzDecodeCertificate"} {
		seeds, err := os.ReadDir(filepath.Join("testdata", "fuzz", target))
		if err != nil || len(seeds) == 0 {
			t.Errorf("%s has no seeds: %v", target, err)
		}
	}
}
