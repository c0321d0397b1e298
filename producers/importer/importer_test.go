package importer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/producers"
	"cdds/producers/importer"
	"cdds/schemas"
	"cdds/schemas/sample"
)

func TestImportPublishesEveryLineAsItIs(t *testing.T) {
	cluster, p := newKafka(t, schemas.TopicInteractions)
	lines := interactions(3000)
	r, err := importer.Import(t.Context(), importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions, Files: []string{file(t, "a.jsonl", join(lines))},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Read != 3000 || r.Published != 3000 || r.Refused != 0 || r.Refusals != nil {
		t.Errorf("report = %+v", r)
	}
	want := map[string]bool{}
	for _, line := range lines {
		want[line] = true
	}
	for _, record := range consume(t, cluster, schemas.TopicInteractions, 3000) {
		if !want[string(record.Value)] {
			t.Fatalf("published what was not in the file, or twice: %.200s", record.Value)
		}
		delete(want, string(record.Value))
	}
}

func TestImportKeepsTheOrderOfEachKey(t *testing.T) {
	cluster, p := newKafka(t, schemas.TopicContacts)
	var lines []string
	for version := range 2000 {
		for _, id := range []string{"c-1", "c-2", "c-3", "c-4"} {
			lines = append(lines, fmt.Sprintf(`{"contact_id":"%s","tenant_id":"acme","created_at":"2026-01-01T00:00:00.000Z","attributes":{"version":"%d"}}`, id, version))
		}
	}
	_, err := importer.Import(t.Context(), importer.Options{
		Publisher: p, Topic: schemas.TopicContacts, Files: []string{file(t, "a", join(lines))},
	})
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, record := range consume(t, cluster, schemas.TopicContacts, len(lines)) {
		c, err := schemas.DecodeContact(record.Value)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.Attributes["version"], fmt.Sprint(next[c.ContactID]); got != want {
			t.Fatalf("%s: version %s comes where %s should", c.ContactID, got, want)
		}
		next[c.ContactID]++
	}
}

func TestImportReadsCompressedFilesAndStandardInput(t *testing.T) {
	cluster, p := newKafka(t, schemas.TopicInteractions)
	lines := interactions(400)
	zipped := file(t, "a.jsonl", join(lines[:100]))
	run(t, "gzip", zipped)
	frames := file(t, "b.jsonl", join(lines[100:200]))
	run(t, "zstd", "-q", "--rm", frames)
	two := file(t, "named.txt", append(read(t, zipped+".gz"), read(t, zipped+".gz")...)) // concatenated members are one file

	r, err := importer.Import(t.Context(), importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions,
		Files: []string{zipped + ".gz", "-", frames + ".zst", two},
		Stdin: bytes.NewReader(bytes.TrimSuffix(join(lines[200:]), []byte("\n"))),
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Published != 600 || r.Refused != 0 {
		t.Errorf("report = %+v", r)
	}
	consume(t, cluster, schemas.TopicInteractions, 600)
}

func TestImportRefusesBadLinesAndGoesOn(t *testing.T) {
	_, p := newKafka(t, schemas.TopicInteractions)
	good := interactions(3)
	huge := `{"interaction_id":"` + strings.Repeat("x", 9<<20) + `"}`
	content := "\xef\xbb\xbf" + good[0] + "\r\n" + // 1, as some programs write it
		"\n  \t\r\n" + // 2 and 3 are blank
		"not json\n" + // 4
		`{"interaction_id":"i","tenant_id":"acme"}` + "\n" + // 5
		huge + "\n" + // 6
		"\xff\n" + // 7
		good[1] + "\n" +
		huge + "\n" + // 9
		good[2] // 10, without a line feed

	r, err := importer.Import(t.Context(), importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions, Files: []string{file(t, "a.jsonl", []byte(content))},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Read != 8 || r.Published != 3 || r.Refused != 5 {
		t.Errorf("read %d, published %d, refused %d; want 8, 3, 5", r.Read, r.Published, r.Refused)
	}
	var got []string
	for _, refusal := range r.Refusals {
		if refusal.Reason == "" || filepath.Base(refusal.File) != "a.jsonl" {
			t.Errorf("refusal = %+v", refusal)
		}
		got = append(got, fmt.Sprint(refusal.Line, " ", refusal.Code))
	}
	if want := "4 invalid_json, 5 invalid_event, 6 too_large, 7 invalid_utf8, 9 too_large"; strings.Join(got, ", ") != want {
		t.Errorf("refused %s\nwant    %s", strings.Join(got, ", "), want)
	}
}

func TestImportCountsEveryRefusalAndKeepsTheFirst(t *testing.T) {
	_, p := newKafka(t, schemas.TopicInteractions)
	r, err := importer.Import(t.Context(), importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions, Files: []string{file(t, "a", bytes.Repeat([]byte("{}\n"), 10_000))},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Refused != 10_000 || len(r.Refusals) != 20 || r.Refusals[19].Line != 20 {
		t.Errorf("refused %d, kept %d", r.Refused, len(r.Refusals))
	}
}

func TestImportTellsTheFirstLineThatCouldNotBePublished(t *testing.T) {
	_, p := newKafka(t, schemas.TopicContacts) // no topic for interactions
	path := file(t, "a.jsonl", append([]byte("\n\nnot json\n"), join(interactions(100))...))
	r, err := importer.Import(t.Context(), importer.Options{Publisher: p, Topic: schemas.TopicInteractions, Files: []string{path}})
	var failed *importer.PublishError
	if !errors.As(err, &failed) || !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Fatalf("error = %v", err)
	}
	if failed.File != path || failed.Line != 4 || r.Published != 0 {
		t.Errorf("failed at %s line %d, published %d; want line 4, 0", failed.File, failed.Line, r.Published)
	}
}

func TestImportPublishesWhatComesBeforeDamage(t *testing.T) {
	cluster, p := newKafka(t, schemas.TopicInteractions)
	path := file(t, "a.jsonl", join(interactions(5000)))
	run(t, "gzip", path)
	b := read(t, path+".gz")
	if err := os.WriteFile(path+".gz", b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := importer.Import(t.Context(), importer.Options{Publisher: p, Topic: schemas.TopicInteractions, Files: []string{path + ".gz"}})
	if want := fmt.Sprintf("a.jsonl.gz line %d: ", r.Read+1); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want it to say %q", err, want)
	}
	if r.Published < 1000 || r.Refused != 0 {
		t.Fatalf("report = %+v", r)
	}
	consume(t, cluster, schemas.TopicInteractions, int(r.Published))
}

func TestImportLooksForAllFilesBeforeItBegins(t *testing.T) {
	_, p := newKafka(t, schemas.TopicInteractions)
	good := file(t, "a.jsonl", join(interactions(1)))
	r, err := importer.Import(t.Context(), importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions, Files: []string{good, filepath.Join(t.TempDir(), "none")},
	})
	if !errors.Is(err, fs.ErrNotExist) || r.Read != 0 {
		t.Errorf("read %d, error %v", r.Read, err)
	}
}

func TestImportTellsProgressInBytesOfTheFiles(t *testing.T) {
	_, p := newKafka(t, schemas.TopicInteractions)
	path := file(t, "a.jsonl", join(interactions(1000)))
	run(t, "gzip", path)
	var done, total int64
	options := importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions, Files: []string{path + ".gz", path + ".gz"},
		Progress: func(d, of int64) { done, total = d, of },
	}
	if _, err := importer.Import(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	if want := int64(2 * len(read(t, path+".gz"))); done != want || total != want {
		t.Errorf("%d of %d bytes, want %d", done, total, want)
	}
}

func TestImportEndsWithItsContext(t *testing.T) {
	_, p := newKafka(t, schemas.TopicInteractions)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := importer.Import(ctx, importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions, Files: []string{file(t, "a", join(interactions(20_000)))},
		Progress: func(int64, int64) { cancel() },
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

func BenchmarkImport(b *testing.B) {
	_, p := newKafka(b, schemas.TopicInteractions)
	path := file(b, "a.jsonl", join(interactions(50_000)))
	b.SetBytes(int64(len(read(b, path))))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := importer.Import(b.Context(), importer.Options{Publisher: p, Topic: schemas.TopicInteractions, Files: []string{path}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*50_000/b.Elapsed().Seconds(), "records/s")
}

func interactions(n int) (lines []string) {
	for e := range sample.Interactions(1, n) {
		line, err := schemas.Encode(e)
		if err != nil {
			panic(err)
		}
		lines = append(lines, string(line))
	}
	return lines
}

func join(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

func newKafka(t testing.TB, topics ...schemas.Topic) (*kfake.Cluster, *producers.Publisher) {
	t.Helper()
	var names []string
	for _, topic := range topics {
		names = append(names, string(topic))
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, names...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	p, err := producers.New([]kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MetadataMinAge(10 * time.Millisecond)}, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return cluster, p
}

func consume(t testing.TB, cluster *kfake.Cluster, topic schemas.Topic, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(string(topic)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var records []*kgo.Record
	for len(records) < n {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs a real program, or skips the test where it is missing.
func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed: this test needs the real one", name)
	}
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}
