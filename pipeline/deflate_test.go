package pipeline

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"

	"cdds/schemas"
	"cdds/schemas/sample"
)

func TestEqualLinesGiveEqualZipsAndFastOnesAreSmallerThanZip1(t *testing.T) {
	var lines bytes.Buffer
	for e := range sample.Interactions(1, 2000) {
		line, err := schemas.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	deflated := func(compression string) []byte {
		var out bytes.Buffer
		w, err := deflaterOf(compression)(&out)
		if err == nil {
			_, err = w.Write(lines.Bytes())
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		back, err := io.ReadAll(flate.NewReader(bytes.NewReader(out.Bytes())))
		if err != nil || !bytes.Equal(back, lines.Bytes()) {
			t.Fatalf("%s: what is inflated differs: %v", compression, err)
		}
		return out.Bytes()
	}
	standard, fast := deflated(schemas.CompressionStandard), deflated(schemas.CompressionFast)
	if !bytes.Equal(standard, deflated("")) || !bytes.Equal(fast, deflated(schemas.CompressionFast)) {
		t.Error("the same lines gave different zips, so an export could not be repeated")
	}
	var one bytes.Buffer
	w, err := flate.NewWriter(&one, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(lines.Bytes())
	_ = w.Close()
	if !(len(standard) < len(fast) && len(fast) < one.Len()) {
		t.Errorf("standard has %d bytes, fast %d, zip -1 about %d", len(standard), len(fast), one.Len())
	}
}
