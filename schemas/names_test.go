package schemas_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"cdds/schemas"
)

func TestAStatusThatClaimsNamesOfAnotherExportIsMalformed(t *testing.T) {
	part := func(edit func(*schemas.Receipt)) *schemas.ExportStatus {
		r := validManifest().Parts[1]
		edit(&r)
		return &schemas.ExportStatus{TenantID: "acme", ExportID: "e-1", EventID: "part/000002", State: schemas.Running, Time: at("2026-11-01T00:00:00Z"), Part: &r}
	}
	completed := func(edit func(*schemas.Completion)) *schemas.ExportStatus {
		c := schemas.Completion{
			ManifestKey: "acme/e-1/manifest.json", SignatureKey: "acme/e-1/manifest.json.p7s",
			ManifestSHA256: digest, SignatureSHA256: digest, SignerSHA256: digest,
		}
		edit(&c)
		return &schemas.ExportStatus{TenantID: "acme", ExportID: "e-1", EventID: "completed", State: schemas.Completed, Time: at("2026-11-01T00:00:00Z"), Completion: &c}
	}
	for name, s := range map[string]*schemas.ExportStatus{
		"its own part":       part(func(*schemas.Receipt) {}),
		"its own completion": completed(func(*schemas.Completion) {}),
		"attachments of its own": part(func(r *schemas.Receipt) {
			r.Kind, r.Name = schemas.KindAttachments, "attachments-e-1-0002.jsonl.zip.p7m"
			r.Key = "acme/e-1/" + r.Name
		}),
	} {
		if _, err := schemas.DecodeExportStatus(encode(t, s)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, s := range map[string]*schemas.ExportStatus{
		"an object of another tenant":  part(func(r *schemas.Receipt) { r.Key = "globex/e-1/" + r.Name }),
		"an object of another export":  part(func(r *schemas.Receipt) { r.Key = "acme/e-2/" + r.Name }),
		"the name of another part":     part(func(r *schemas.Receipt) { r.Number = 3 }),
		"a name that runs a command":   part(func(r *schemas.Receipt) { r.Name = "$(touch x)"; r.Key = "acme/e-1/" + r.Name }),
		"a name that leaves":           part(func(r *schemas.Receipt) { r.Name = "../../globex/e-1/x"; r.Key = "acme/e-1/" + r.Name }),
		"a kind that leaves":           part(func(r *schemas.Receipt) { r.Kind = "../x" }),
		"a digest that runs a command": part(func(r *schemas.Receipt) { r.SealedSHA256 = "$(touch x)" }),
		"a part without a number": part(func(r *schemas.Receipt) {
			r.Number, r.Name, r.Key = 0, "interaction-e-1-0000.jsonl.zip.p7m", "acme/e-1/interaction-e-1-0000.jsonl.zip.p7m"
		}),
		"another tenant's manifest":     completed(func(c *schemas.Completion) { c.ManifestKey = "globex/e-1/manifest.json" }),
		"another file as signature":     completed(func(c *schemas.Completion) { c.SignatureKey = "acme/e-1/accepted.json" }),
		"a signer that is not a digest": completed(func(c *schemas.Completion) { c.SignerSHA256 = "x; touch y" }),
	} {
		var malformed *schemas.MalformedError
		if _, err := schemas.DecodeExportStatus(encode(t, s)); !errors.As(err, &malformed) {
			t.Errorf("%s passes: %v", name, err)
		}
	}
}

func TestFileNamesAreSafeOnEverySystem(t *testing.T) {
	for name, want := range map[string]string{
		"photo.jpg": "photo.jpg", "trail...": "trail", "blank ": "blank_", "x. . .": "x._._", "...": "attachment", "": "attachment",
		".hidden": "hidden", "../../etc/passwd": "_.._etc_passwd", "con": "_con", "AUX.txt": "_AUX.txt", "lpt9": "_lpt9", "com10": "com10", "console": "console",
		"12:30.wav": "12_30.wav", `C:\x`: "C__x", "con:": "con_", "a.txt:stream": "a.txt_stream", "COM1.tar.gz": "_COM1.tar.gz", "NUL.": "_NUL",
		"ümläut": "_ml_ut", "a;b`c": "a_b_c", strings.Repeat("x", 100) + ".pdf": strings.Repeat("x", 76) + ".pdf",
	} {
		if got := schemas.FileName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
	for id, want := range map[string]string{"01JD": "01JD", "e1...": "e1", "NUL": "_NUL", "nul.1": "_nul.1"} {
		if got := schemas.ExportDir(id); got != want {
			t.Errorf("export %s goes to the directory %q, want %q", id, got, want)
		}
	}
}

// What Windows refuses or opens as something else: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
func TestEveryNameAReceiverWritesIsOneWindowsTakes(t *testing.T) {
	reserved := regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|$)`)
	check := func(t *rapid.T, path string) {
		for _, name := range strings.Split(path, "/") {
			if name == "" || len(name) > 255 || reserved.MatchString(name) || strings.ContainsAny(name, `<>:"\|?*`) ||
				strings.ContainsFunc(name, unicode.IsControl) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
				t.Fatalf("%q of %q", name, path)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		said := rapid.OneOf(rapid.String(), rapid.StringMatching(`(?i)(con|aux|nul|com1|lpt9)?[.: ]{0,3}(txt)?[.:]{0,3}`)).Draw(t, "name")
		export := rapid.StringMatching(`(?i)(con|aux|nul|com1|[a-z0-9])[a-z0-9._-]{0,20}\.{0,3}`).Draw(t, "export")
		p := schemas.Part{Number: rapid.IntRange(1, 99_999).Draw(t, "part"), Kind: rapid.SampledFrom([]string{"", schemas.KindRemoved, schemas.KindAttachments}).Draw(t, "kind")}
		for _, path := range []string{
			schemas.FileName(said), schemas.AttachmentPath(p, 1, said), schemas.ExportDir(export),
			schemas.PartName(schemas.EntityContact, export, p), schemas.EntryName(schemas.EntityContact, p), schemas.SegmentName(export, p, 1),
		} {
			check(t, path)
		}
	})
}

func TestOnlyItsOwnFilesAreArtifactsOfAnExport(t *testing.T) {
	for name, want := range map[string]bool{
		"manifest.json": true, "manifest.json.p7s": true,
		"interaction-e-1-0001.jsonl.zip.p7m": true, "contact-e-1-0031.jsonl.zip.p7m": true, "attachments-e-1-10000.jsonl.zip.p7m": true,
		"interaction-e-1-0000.jsonl.zip.p7m": false, "interaction-e-1-001.jsonl.zip.p7m": false, "interaction-e-1-+001.jsonl.zip.p7m": false,
		"interaction-e-2-0001.jsonl.zip.p7m": false, "interaction-e-1-0001.jsonl.zip": false, "x.p7m": false, "accepted.json": false,
		"a/manifest.json": false, "": false,
	} {
		if got := schemas.IsArtifact("e-1", name); got != want {
			t.Errorf("%q is an artifact of e-1: %t", name, got)
		}
	}
}
