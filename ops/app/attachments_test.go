package app_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// referring is an attachment with the content as it should be at key.
func referring(id, key string, content []byte) schemas.Attachment {
	sum := sha256.Sum256(content)
	return schemas.Attachment{AttachmentID: id, Name: id + ".bin", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Object: key}
}

// unpack opens the parts with attachments of an export with stock tools and returns the
// contents and the problems by attachment id.
func (w *world) unpack(e schemas.Export) (contents map[string][]byte, problems map[string]string) {
	w.t.Helper()
	contents, problems = map[string][]byte{}, map[string]string{}
	for _, part := range e.Parts {
		if part.Kind != schemas.KindAttachments {
			continue
		}
		dir := w.t.TempDir()
		sealed := filepath.Join(dir, part.Name)
		content, err := w.bucket.GetBytes(w.t.Context(), part.Key, 1<<30)
		check(w.t, err)
		check(w.t, os.WriteFile(sealed, content, 0o600))
		output(w.t, "openssl", "cms", "-decrypt", "-in", sealed, "-recip", w.cert, "-inkey", w.key, "-out", sealed+".zip")
		output(w.t, "unzip", "-q", sealed+".zip", "-d", dir)
		index, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("attachments-%04d.jsonl", part.Number)))
		check(w.t, err)
		for text := range strings.Lines(string(index)) {
			var line schemas.AttachmentLine
			check(w.t, json.Unmarshal([]byte(text), &line))
			id := line.InteractionID + "/" + line.AttachmentID
			if line.Problem != "" {
				problems[id] = line.Problem
				continue
			}
			if strings.HasSuffix(line.File, ".") {
				w.t.Errorf("the zip has %s, whose last dot Windows drops", line.File)
			}
			contents[id], err = os.ReadFile(filepath.Join(dir, line.File))
			check(w.t, err)
		}
	}
	return contents, problems
}

func TestAttachmentsComeOutAsFilesAndWhatIsMissingIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history", "erasure")
	objects := w.bucket.Sibling(w.config.S3.AttachmentsBucket)
	large, foreign, erased := bytes.Repeat([]byte("0123456789abcdef"), 20_000), []byte("of globex"), []byte("of eve")
	for key, content := range map[string][]byte{
		"acme/2026/large.bin": large, "acme/changed": []byte("other"), "acme/grown": []byte("longer than said"), "globex/secret": foreign, "acme/eve": erased,
	} {
		check(t, objects.PutBytes(t.Context(), key, content, "application/octet-stream"))
	}
	inline := func(id, content string) schemas.Attachment {
		return schemas.Attachment{AttachmentID: id, Name: "../../etc/passwd " + id + "...", Content: base64.StdEncoding.EncodeToString([]byte(content))}
	}
	first, second, plain := interaction("acme", 1), interaction("acme", 2), interaction("acme", 3)
	first.Attachments = []schemas.Attachment{inline("a", "first\n"), referring("b", "acme/2026/large.bin", large)}
	second.Attachments = []schemas.Attachment{
		inline("a", "second"), referring("gone", "acme/gone", []byte("x")), referring("changed", "acme/changed", []byte("0ther")), referring("grown", "acme/grown", []byte("short")),
	}
	eve := of("eve", 4)
	eve.Attachments = []schemas.Attachment{referring("e", "acme/eve", erased)}
	replaced := interaction("acme", 5)
	replaced.Attachments = []schemas.Attachment{inline("old", "of an old version")}
	w.publish(first, second, plain, eve, replaced, interaction("acme", 5), interaction("globex", 6))

	escape := interaction("acme", 7)
	escape.Attachments = []schemas.Attachment{referring("escape", "globex/secret", foreign)}
	value, err := schemas.Encode(escape)
	check(t, err)
	w.produce(schemas.TopicInteractions, []byte(escape.InteractionID), value) // dead-lettered: not its tenant's

	r := w.request("acme", "e1")
	r.SplitSize = 64 << 10
	none := w.request("acme", "none")
	none.Attachments = schemas.AttachmentsNone
	w.publish(r, none, w.request("globex", "g1"))
	e := w.await("acme", "e1")
	if e.State != schemas.Completed || e.Done.Rows != 5 || e.Done.Attachments != 7 || e.Done.AttachmentProblems != 3 {
		t.Fatalf("%s, %+v, %+v", e.State, e.Failure, e.Done)
	}
	contents, problems := w.unpack(e)
	for id, want := range map[string]string{
		"i-000001/a": "first\n", "i-000001/b": string(large), "i-000002/a": "second", "i-000004/e": "of eve",
	} {
		if string(contents[id]) != want {
			t.Errorf("%s has %d bytes that are not its content", id, len(contents[id]))
		}
	}
	for id, why := range map[string]string{"i-000002/gone": "not there", "i-000002/changed": "SHA-256", "i-000002/grown": "more than"} {
		if !strings.Contains(problems[id], why) {
			t.Errorf("%s: problem %q", id, problems[id])
		}
	}
	if len(contents) != 4 || len(problems) != 3 {
		t.Errorf("%d contents, problems %v", len(contents), problems)
	}
	for tenant, id := range map[string]string{"acme": "none", "globex": "g1"} {
		if x := w.await(tenant, id); x.State != schemas.Completed || x.Done.Attachments != 0 || x.Done.Parts != 1 {
			t.Errorf("%s: %s with %+v", id, x.State, x.Done)
		}
	}
	w.decrypts(e, contents)

	again := w.request("acme", "e2")
	again.SplitSize, again.Snapshot = r.SplitSize, e.Snapshot
	w.publish(again)
	repeated := w.await("acme", "e2")
	for i, part := range e.Parts {
		if i >= len(repeated.Parts) || part.ZipSHA256 != repeated.Parts[i].ZipSHA256 {
			t.Errorf("part %d is not the same the second time", part.Number)
		}
	}

	w.publish(&schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-1", ContactID: "eve"})
	if erasure := w.awaitErasure("acme", "case-1"); erasure.Objects != 1 {
		t.Errorf("the erasure removed %d objects", erasure.Objects)
	}
	if _, err := objects.Stat(t.Context(), "acme/eve"); err == nil {
		t.Error("what was erased is still an object")
	}
	if _, err := objects.Stat(t.Context(), "acme/2026/large.bin"); err != nil {
		t.Error("what was not erased is gone:", err)
	}
}

// decrypts downloads an export and holds what receiver.Decrypt writes to contents, twice.
func (w *world) decrypts(e schemas.Export, contents map[string][]byte) {
	w.t.Helper()
	dir, out := w.t.TempDir(), w.t.TempDir()
	keys := []string{e.Completion.ManifestKey, e.Completion.SignatureKey}
	for _, p := range e.Parts {
		keys = append(keys, p.Key)
	}
	for _, key := range keys {
		content, err := w.bucket.GetBytes(w.t.Context(), key, 1<<30)
		check(w.t, err)
		check(w.t, os.WriteFile(filepath.Join(dir, filepath.Base(key)), content, 0o600))
	}
	pair, err := tls.LoadX509KeyPair(w.cert, w.key)
	check(w.t, err)
	report, err := receiver.Decrypt(w.t.Context(), dir, pair.Leaf, pair.PrivateKey.(*rsa.PrivateKey), out, receiver.Options{})
	check(w.t, err)
	files, err := filepath.Glob(out + "/attachments-*/*")
	check(w.t, err)
	for _, file := range files {
		if strings.HasSuffix(file, ".") {
			w.t.Errorf("%s ends in a dot", file)
		}
	}
	if len(files) != len(contents) || report.Written.Len() != len(e.Parts) {
		w.t.Errorf("%d files of %d contents", len(files), len(contents))
	}
	check(w.t, os.Remove(files[0]))
	again, err := receiver.Decrypt(w.t.Context(), dir, pair.Leaf, pair.PrivateKey.(*rsa.PrivateKey), out, receiver.Options{})
	check(w.t, err)
	if again.Written.Len() != 1 || again.Kept.Len() != len(e.Parts)-1 {
		w.t.Errorf("the second time %d were written, %d kept", again.Written.Len(), again.Kept.Len())
	}
	check(w.t, os.WriteFile(files[0], []byte("somebody's own"), 0o600))
	if _, err := receiver.Decrypt(w.t.Context(), dir, pair.Leaf, pair.PrivateKey.(*rsa.PrivateKey), out, receiver.Options{}); err == nil {
		w.t.Error("a file that was there is overwritten")
	}
}

func TestAnAttachmentThatTheStoreCanNeverHaveIsALineOfTheIndexAndNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history", "erasure")
	objects := w.bucket.Sibling(w.config.S3.AttachmentsBucket)
	content := []byte("here")
	check(t, objects.PutBytes(t.Context(), "acme/here", content, "application/octet-stream"))
	longkey := of("eve", 1)
	longkey.Attachments = []schemas.Attachment{
		referring("a", "acme/"+strings.Repeat("k", 300), []byte("abc")), // longer than the file system under the store takes
		referring("b", "acme/here", content),
	}
	w.publish(interaction("acme", 2), longkey, w.request("acme", "e1"))
	e := w.await("acme", "e1")
	if e.State != schemas.Completed || e.Done.Rows != 2 || e.Done.Attachments != 2 || e.Done.AttachmentProblems != 1 {
		t.Fatalf("%s, %+v, %+v", e.State, e.Failure, e.Done)
	}
	contents, problems := w.unpack(e)
	if got := problems["i-000001/a"]; got != "the store can have no object of that key: KeyTooLongError (400)" {
		t.Errorf("the index says %q", got)
	}
	if got := string(contents["i-000001/b"]); got != "here" {
		t.Errorf("the other attachment is %q", got)
	}

	w.publish(&schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-1", ContactID: "eve"})
	if erasure := w.awaitErasure("acme", "case-1"); erasure.Rows != 1 {
		t.Errorf("the erasure removed %d rows", erasure.Rows)
	}
}
