package receiver_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cdds/pipeline/receiver"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

func decrypt(t *testing.T, dir, out string) (receiver.Report, error) {
	t.Helper()
	return receiver.Decrypt(t.Context(), dir, anna().cert, anna().key, out, receiver.Options{})
}

func paths(f *receiver.Files) []string { return slices.Collect(f.Paths()) }

func TestDecryptWritesTheLinesThatWereExported(t *testing.T) {
	for _, der := range []bool{false, true} {
		out := filepath.Join(t.TempDir(), "made", "for it")
		r, err := decrypt(t, export{parts: 3, der: der}.write(t), out)
		if err != nil {
			t.Fatal(err)
		}
		if r.Written.Len() != 3 || r.Kept.Len() != 0 {
			t.Errorf("written %q, kept %q", paths(r.Written), paths(r.Kept))
		}
		for i, path := range paths(r.Written) {
			if !bytes.Equal(get(t, path), linesOf(i+1)) {
				t.Errorf("%s is not what was exported", path)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: mode %v, error %v", path, info.Mode(), err)
			}
		}
		if got, want := names(t, out), "interaction-0001.jsonl interaction-0002.jsonl interaction-0003.jsonl"; got != want {
			t.Errorf("%s holds %s", out, got)
		}
	}
}

func TestDecryptAgreesWithOpensslAndUnzip(t *testing.T) {
	dir, out := export{parts: 1}.write(t), t.TempDir()
	cert, key, zipped := filepath.Join(out, "cert.pem"), filepath.Join(out, "key.pem"), filepath.Join(out, "part.zip")
	put(t, cert, anna().certPEM)
	put(t, key, anna().keyPEM)
	run(t, "openssl", "cms", "-decrypt", "-in", filepath.Join(dir, first), "-recip", cert, "-inkey", key, "-out", zipped)
	lines := run(t, "unzip", "-p", zipped)
	r, err := decrypt(t, dir, out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, paths(r.Written)[0]), lines) {
		t.Error("openssl and unzip give other lines")
	}
}

func TestDecryptReadsWhatInfoZipMakes(t *testing.T) {
	x := export{parts: 1, zip: func(t testing.TB, name string, lines []byte) []byte {
		dir := t.TempDir()
		put(t, filepath.Join(dir, name), lines)
		run(t, "zip", "-j", "-q", filepath.Join(dir, "part.zip"), filepath.Join(dir, name))
		return get(t, filepath.Join(dir, "part.zip"))
	}}
	if _, err := decrypt(t, x.write(t), t.TempDir()); err != nil {
		t.Fatal(err)
	}
}

func TestDecryptTakesUpWhereItWasInterrupted(t *testing.T) {
	dir, out := export{parts: 3}.write(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := receiver.Decrypt(ctx, dir, anna().cert, anna().key, out, receiver.Options{Parallel: 1, Progress: func(done, of int64) {
		if done > of*3/4 { // in the second part that is decrypted
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want canceled", err)
	}
	if got := names(t, out); got != "interaction-0001.jsonl" {
		t.Fatalf("left %s", got)
	}
	r, err := decrypt(t, dir, out)
	if err != nil || !slices.Equal(paths(r.Kept), []string{filepath.Join(out, "interaction-0001.jsonl")}) || !slices.Equal(paths(r.Written), []string{filepath.Join(out, "interaction-0002.jsonl"), filepath.Join(out, "interaction-0003.jsonl")}) {
		t.Errorf("kept %q, written %q, error %v", paths(r.Kept), paths(r.Written), err)
	}
}

func TestDecryptDoesNotMixExports(t *testing.T) {
	out := t.TempDir()
	mine := filepath.Join(out, "interaction-0002.jsonl")
	put(t, mine, []byte("of another export\n"))
	_, err := decrypt(t, export{parts: 3}.write(t), out)
	if !errors.Is(err, receiver.ErrOutputExists) || !strings.Contains(err.Error(), "interaction-0002.jsonl") {
		t.Errorf("error = %v, want ErrOutputExists with the name", err)
	}
	if got := names(t, out); got != filepath.Base(mine) || string(get(t, mine)) != "of another export\n" {
		t.Errorf("it wrote all the same: %s", got)
	}
}

func TestDecryptWritesNothingOfAnExportThatDoesNotVerify(t *testing.T) {
	dir, out := export{parts: 3}.write(t), filepath.Join(t.TempDir(), "out")
	b := get(t, filepath.Join(dir, second))
	b[len(b)/2] ^= 1
	put(t, filepath.Join(dir, second), b)
	_, err := decrypt(t, dir, out)
	if got, want := violations(err), []string{second + " digest"}; !slices.Equal(got, want) {
		t.Errorf("violations = %q, want %q", got, want)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("the output directory was made: %v", err)
	}
}

func TestDecryptNeedsTheRightCertificateAndKey(t *testing.T) {
	dir, out := export{parts: 1}.write(t), filepath.Join(t.TempDir(), "out")
	if _, err := receiver.Decrypt(t.Context(), dir, ben().cert, ben().key, out, receiver.Options{}); !errors.Is(err, smime.ErrNotRecipient) {
		t.Errorf("another's pair: error = %v, want ErrNotRecipient", err)
	}
	if _, err := receiver.Decrypt(t.Context(), dir, anna().cert, ben().key, out, receiver.Options{}); !errors.Is(err, smime.ErrKeyMismatch) {
		t.Errorf("another's key: error = %v, want ErrKeyMismatch", err)
	}
	// A service gone wrong may list a recipient it did not seal for.
	dir = export{parts: 1, edit: func(m *schemas.Manifest) { m.Recipients[0].Fingerprint = smime.Fingerprint(ben().cert) }}.write(t)
	_, err := receiver.Decrypt(t.Context(), dir, ben().cert, ben().key, out, receiver.Options{})
	if got, want := violations(err), []string{first + " sealed"}; !slices.Equal(got, want) || names(t, out) != "" {
		t.Errorf("violations = %q, want %q; left %q", got, want, names(t, out))
	}
}

func TestDecryptHoldsZipAndLinesToTheManifest(t *testing.T) {
	zips := func(entries func(name string, lines []byte) []entry) export {
		return export{parts: 2, zip: func(t testing.TB, name string, lines []byte) []byte {
			if !strings.Contains(name, "0002") {
				return zipOf(t, name, lines)
			}
			return zipEntries(t, entries(name, lines)...)
		}}
	}
	edits := func(edit func(*schemas.Receipt)) export {
		return export{parts: 2, edit: func(m *schemas.Manifest) { edit(&m.Parts[1]) }}
	}
	patches := func(patch func(zipped []byte)) export {
		return export{parts: 2, zip: func(t testing.TB, name string, lines []byte) []byte {
			b := zipOf(t, name, lines)
			if strings.Contains(name, "0002") {
				patch(b)
			}
			return b
		}}
	}
	for _, c := range []struct {
		name   string
		export export
		rule   receiver.Rule
	}{
		{"two entries", zips(func(name string, lines []byte) []entry {
			return []entry{{name, 0o600, lines}, {"more.jsonl", 0o600, lines}}
		}), receiver.RuleZip},
		{"two entries where one is announced", export{parts: 2, zip: func(t testing.TB, name string, lines []byte) []byte {
			if !strings.Contains(name, "0002") {
				return zipOf(t, name, lines)
			}
			b := zipEntries(t, entry{name, 0o600, lines}, entry{"more.jsonl", 0o600, lines})
			binary.LittleEndian.PutUint16(b[len(b)-14:], 1)
			binary.LittleEndian.PutUint16(b[len(b)-12:], 1)
			return b
		}}, receiver.RuleZip},
		{"no entry", zips(func(string, []byte) []entry { return nil }), receiver.RuleZip},
		{"path traversal", zips(func(name string, lines []byte) []entry { return []entry{{"../" + name, 0o600, lines}} }), receiver.RuleZip},
		{"an absolute path", zips(func(name string, lines []byte) []entry { return []entry{{"/" + name, 0o600, lines}} }), receiver.RuleZip},
		{"another name", zips(func(_ string, lines []byte) []entry { return []entry{{"interaction-0001.jsonl", 0o600, lines}} }), receiver.RuleZip},
		{"a symbolic link", zips(func(name string, lines []byte) []entry { return []entry{{name, os.ModeSymlink | 0o600, lines}} }), receiver.RuleZip},
		{"an entry larger than stated", zips(func(name string, lines []byte) []entry {
			return []entry{{name, 0o600, append(slices.Clone(lines), lines...)}}
		}), receiver.RuleZip},
		{"an entry that lies about its size", patches(lieAboutSize), receiver.RuleZip},
		{"an entry with another checksum", patches(func(b []byte) { b[directory(b)+16] ^= 1 }), receiver.RuleZip},
		{"an encrypted entry", patches(func(b []byte) { b[directory(b)+8] |= 1 }), receiver.RuleZip},
		{"an unknown method", patches(func(b []byte) { b[directory(b)+10] = 12 }), receiver.RuleZip},
		{"garbage", export{parts: 2, zip: func(t testing.TB, name string, lines []byte) []byte {
			if strings.Contains(name, "0002") {
				return []byte(strings.Repeat("not a zip ", 100))
			}
			return zipOf(t, name, lines)
		}}, receiver.RuleZip},
		{"other lines of the same size", zips(func(name string, lines []byte) []entry {
			return []entry{{name, 0o600, bytes.ReplaceAll(lines, []byte("hello"), []byte("HELLO"))}}
		}), receiver.RuleContent},
		{"more rows than stated", edits(func(r *schemas.Receipt) { r.Rows-- }), receiver.RuleContent},
		{"fewer bytes than stated", edits(func(r *schemas.Receipt) { r.Bytes++ }), receiver.RuleZip},
		{"another zip digest", edits(func(r *schemas.Receipt) { r.ZipSHA256 = strings.Repeat("0", 64) }), receiver.RuleZip},
		{"a longer zip", edits(func(r *schemas.Receipt) { r.ZipBytes-- }), receiver.RuleZip},
		{"a shorter zip", edits(func(r *schemas.Receipt) { r.ZipBytes++ }), receiver.RuleZip},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := t.TempDir()
			r, err := decrypt(t, c.export.write(t), out)
			if got, want := violations(err), []string{second + " " + string(c.rule)}; !slices.Equal(got, want) {
				t.Errorf("violations = %q, want %q (error %v)", got, want, err)
			}
			if got := names(t, out); got != "interaction-0001.jsonl" || r.Written.Len() != 1 {
				t.Errorf("%s holds %s, written %q", out, got, paths(r.Written))
			}
		})
	}
}

// directory is where the zip's directory begins (APPNOTE.TXT section 4.3.16).
func directory(b []byte) int { return int(binary.LittleEndian.Uint32(b[len(b)-6:])) }

// lieAboutSize states one byte less than there is.
func lieAboutSize(b []byte) {
	size := b[directory(b)+24:]
	binary.LittleEndian.PutUint32(size, binary.LittleEndian.Uint32(size)-1)
}

// An entry that states the size of the manifest but unpacks to far more must be
// stopped there, not after the disk is full.
func TestDecryptStopsAZipBomb(t *testing.T) {
	bomb := bytes.Repeat([]byte{'\n'}, 64<<20)
	x := export{parts: 1,
		zip: func(t testing.TB, name string, lines []byte) []byte {
			b := zipOf(t, name, bomb)
			binary.LittleEndian.PutUint32(b[directory(b)+24:], uint32(len(lines)))
			return b
		}}
	out := t.TempDir()
	_, err := decrypt(t, x.write(t), out)
	if got, want := violations(err), []string{first + " zip"}; !slices.Equal(got, want) {
		t.Errorf("violations = %q, want %q (error %v)", got, want, err)
	}
	if !errors.Is(err, zip.ErrFormat) && !errors.Is(err, zip.ErrChecksum) {
		t.Errorf("error = %v", err)
	}
	if got := names(t, out); got != "" {
		t.Errorf("left %s", got)
	}
}

func TestAnAttachmentWhoseNameEndsInADotIsWrittenWithoutIt(t *testing.T) {
	dir, out := attached(t, "hi"), t.TempDir()
	for range 2 { // the second time it is kept
		if _, err := decrypt(t, dir, out); err != nil {
			t.Fatal(err)
		}
		if got := names(t, filepath.Join(out, "attachments-0001")); got != "000001-trail" {
			t.Errorf("the files are %s", got)
		}
	}
}

// attached is an export of one attachment whose index says that its content is "hi".
func attached(t *testing.T, content string) string {
	t.Helper()
	p := schemas.Part{Number: 1, Kind: schemas.KindAttachments, Rows: 1, Bytes: 2, FirstAttachment: 1, LastAttachment: 1}
	const file = "attachments-0001/000001-trail..." // as versions before this one named it
	index, err := schemas.Encode(schemas.AttachmentLine{InteractionID: "dot", AttachmentID: "x", Name: "trail...", Size: 2, SHA256: digest([]byte("hi")), File: file})
	if err != nil {
		t.Fatal(err)
	}
	index = append(index, '\n')
	dir := export{
		parts: 1,
		zip: func(t testing.TB, _ string, _ []byte) []byte {
			return zipEntries(t, entry{file, 0o600, []byte(content)}, entry{"attachments-0001.jsonl", 0o600, index})
		},
		edit: func(m *schemas.Manifest) {
			r := &m.Parts[0]
			p.First, p.Last = r.First, r.Last
			r.Part, r.Name, r.IndexBytes, r.JSONLSHA256 = p, schemas.PartName(m.Filter.Entity, m.ExportID, p), int64(len(index)), digest(index)
		},
	}.write(t)
	if err := os.Rename(filepath.Join(dir, first), filepath.Join(dir, "attachments-x1-0001.jsonl.zip.p7m")); err != nil {
		t.Fatal(err)
	}
	return dir
}
