package schemas_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"cdds/schemas"
)

func TestAManifestIsWrittenPartByPartAsItIsEncodedWhole(t *testing.T) {
	m := validManifest()
	m.Filter.Queues = []string{`"parts":null`, "\"parts\":null,\"totals\""}
	for _, parts := range [][]schemas.Receipt{m.Parts, m.Parts[:1], {}} {
		m.Parts = parts
		var b bytes.Buffer
		if err := schemas.WriteManifest(&b, *m, slices.Values(parts)); err != nil {
			t.Fatal(err)
		}
		if want := encode(t, m); !bytes.Equal(b.Bytes(), want) {
			t.Errorf("written part by part it is\n%s\nnot\n%s", b.Bytes(), want)
		}
	}
}

func TestAManifestIsReadPartByPartByTheRulesOfRead(t *testing.T) {
	m := validManifest()
	content := encode(t, m)
	var parts []schemas.Receipt
	head, err := schemas.ReadManifest(iotest.OneByteReader(bytes.NewReader(content)), func(r schemas.Receipt) error { parts = append(parts, r); return nil })
	if err != nil || head.Parts != nil {
		t.Fatalf("the head has %d parts, %v", len(head.Parts), err)
	}
	head.Parts = parts
	if !bytes.Equal(encode(t, head), content) {
		t.Error("read part by part it is another one")
	}

	refused := func(problem, content string) {
		t.Helper()
		_, err := schemas.ReadManifest(strings.NewReader(content), func(schemas.Receipt) error { return nil })
		var malformed *schemas.MalformedError
		if !errors.As(err, &malformed) || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: got %v", problem, err)
		}
	}
	text := string(content)
	refused(`member "/parts" appears twice`, strings.Replace(text, `"totals"`, `"parts":[],"totals"`, 1))
	refused(`appears twice`, strings.Replace(text, `"totals"`, `"part\u0073":[],"totals"`, 1))
	refused(`"/Parts"`, strings.Replace(text, `"parts"`, `"Parts"`, 1))
	refused(`member "/parts/0/Zip_Bytes" must be written "zip_bytes"`, strings.Replace(text, `"zip_bytes"`, `"Zip_Bytes"`, 1))
	refused(`"/parts" must not be a JSON number`, `{"version":1,"parts":3}`)
	refused("not valid JSON: unexpected EOF", text[:len(text)-1])
	refused("not valid JSON: something follows it", text+"{}")
	refused("not valid JSON", strings.Replace(text, `"totals"`, "\"\xff\":1,\"totals\"", 1))
	refused("must be a JSON object", "[]")
	refused("ends before it is complete", "")

	escaped := strings.Replace(text, `"parts"`, `"part\u0073"`, 1)
	n := 0
	if head, err := schemas.ReadManifest(strings.NewReader(escaped), func(schemas.Receipt) error { n++; return nil }); err != nil || n != len(m.Parts) || head.Parts != nil {
		t.Errorf("of an escaped name %d parts are read, %v", n, err)
	}
	enough := errors.New("enough")
	if _, err := schemas.ReadManifest(bytes.NewReader(content), func(schemas.Receipt) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v, want the error of each", err)
	}
	for _, broke := range []error{enough, io.ErrUnexpectedEOF} {
		if _, err := schemas.ReadManifest(io.MultiReader(strings.NewReader(text[:50]), iotest.ErrReader(broke)), func(schemas.Receipt) error { return nil }); !errors.Is(err, broke) || errors.As(err, new(*schemas.MalformedError)) {
			t.Errorf("got %v, want the error of the reader", err)
		}
	}
}
