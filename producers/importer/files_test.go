package importer_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/gzip"

	"cdds/producers/importer"
	"cdds/schemas"
)

func TestImportReadsGzipThatIsPaddedWithZeros(t *testing.T) {
	_, p := newKafka(t, schemas.TopicInteractions)
	lines := interactions(200)
	padding := make([]byte, 300_000) // more than is read at once
	one, two := zipped(t, join(lines[:100])), zipped(t, join(lines[100:]))
	for name, content := range map[string][]byte{
		"after":   slices.Concat(one, two, padding),
		"between": slices.Concat(one, padding, two),
		"a zero":  slices.Concat(one, two, padding[:1]),
	} {
		r, err := importer.Import(t.Context(), importer.Options{
			Publisher: p, Topic: schemas.TopicInteractions, Files: []string{file(t, "a.jsonl.gz", content)},
		})
		if err != nil || r.Published != 200 || r.Refused != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestImportNamesWhatFollowsCompressedDataAndIsNotGzip(t *testing.T) {
	_, p := newKafka(t, schemas.TopicInteractions)
	r, err := importer.Import(t.Context(), importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions,
		Files: []string{file(t, "a.jsonl.gz", append(zipped(t, join(interactions(5))), "{}"...))},
	})
	if err == nil || !strings.Contains(err.Error(), "something that is not gzip") || r.Published != 5 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestImportSaysThatAFileIsNotUTF8BeforeItPublishesAnyOfIt(t *testing.T) {
	_, p := newKafka(t, schemas.TopicInteractions)
	text := join(interactions(3))
	for _, c := range []struct {
		name, encoding string
		content        []byte
	}{
		{"with a mark", "UTF-16LE", append([]byte{0xff, 0xfe}, wide(text, 0, 2)...)},
		{"with a mark, big-endian", "UTF-16BE", append([]byte{0xfe, 0xff}, wide(text, 1, 2)...)},
		{"without a mark", "UTF-16LE", wide(text, 0, 2)},
		{"without a mark, big-endian", "UTF-16BE", wide(text, 1, 2)},
		{"UTF-32", "UTF-32LE", append([]byte{0xff, 0xfe, 0, 0}, wide(text, 0, 4)...)},
		{"UTF-32, big-endian", "UTF-32BE", wide(text, 3, 4)},
		{"compressed", "UTF-16LE", zipped(t, wide(text, 0, 2))},
	} {
		path := file(t, "a.jsonl", c.content)
		r, err := importer.Import(t.Context(), importer.Options{
			Publisher: p, Topic: schemas.TopicInteractions, Files: []string{path},
		})
		var wrong *importer.EncodingError
		if !errors.As(err, &wrong) || wrong.Encoding != c.encoding || wrong.File != path || r.Read != 0 {
			t.Errorf("%s: %v, %+v; want %s", c.name, err, r, c.encoding)
		}
	}
}

func TestImportHandsOverEveryRefusedLineInOrder(t *testing.T) {
	_, p := newKafka(t, schemas.TopicInteractions)
	good := interactions(1)[0] + "\n"
	bad := strings.Repeat("nothing\n", 2_500)
	var lines []int64
	r, err := importer.Import(t.Context(), importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions,
		Files:   []string{file(t, "a.jsonl", []byte(good+bad+good)), file(t, "b.jsonl", []byte(bad))},
		Refused: func(r importer.Refusal) error { lines = append(lines, r.Line); return nil },
	})
	if err != nil || r.Refused != 5_000 || r.Published != 2 || len(r.Refusals) != 20 {
		t.Fatalf("%d refused, %d published, %d in the report, %v", r.Refused, r.Published, len(r.Refusals), err)
	}
	if len(lines) != 5_000 || !slices.IsSorted(lines[:2_500]) || lines[0] != 2 || lines[2_500] != 1 || lines[4_999] != 2_500 {
		t.Errorf("%d lines were handed over, the first %v", len(lines), lines[:min(3, len(lines))])
	}

	full := errors.New("the disk is full")
	_, err = importer.Import(t.Context(), importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions, Files: []string{file(t, "a.jsonl", []byte(bad))},
		Refused: func(importer.Refusal) error { return full },
	})
	if !errors.Is(err, full) {
		t.Errorf("the import ended with %v", err)
	}
}

func zipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.Copy(w, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// wide is text in units of size bytes, of which the one at low holds the lowest bits.
func wide(text []byte, low, size int) (b []byte) {
	for _, unit := range utf16.Encode([]rune(string(text))) {
		cell := make([]byte, size)
		next := 1 - 2*min(low, 1) // where the next byte of the unit is
		cell[low], cell[low+next] = byte(unit), byte(unit>>8)
		b = append(b, cell...)
	}
	return b
}
