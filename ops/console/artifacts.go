package console

import (
	"fmt"
	"mime"
	"net/url"
	"strings"

	"cdds/ops/download"
	"cdds/ops/shell"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

func (c *Console) artifacts() {
	c.open("GET /artifacts", c.artifactList)
	c.open("GET /artifacts/{export}/download.sh", c.script)
	// A download takes as long as it takes: it has no timeout of a page.
	c.stream("GET /artifacts/{export}/all.tar", func(q *request) error { return q.bundle() })
	c.stream("GET /artifacts/{export}/{name}", func(q *request) error { return q.download() })
}

// artifactData is a page of files.
type artifactData struct {
	Groups []artifactGroup
	Listing
	Kind, Export string
	Kinds        []string
}

// artifactGroup is files of one export that stand together.
type artifactGroup struct {
	ExportID string
	Rows     []artifactRow
	Bytes    int64
	// Whole says that the manifest is among them: the export is completed.
	Whole bool
}

type artifactRow struct {
	ledger.ListedArtifact
	Command string
}

func (c *Console) artifactList(q *request) error {
	query := q.r.URL.Query()
	d := artifactData{Kind: query.Get("kind"), Export: query.Get("export"), Kinds: []string{"part", "removed", "attachments", "segment", "manifest", "signature"}}
	page := d.read(query, "created_at")
	found, err := q.Artifacts(q.r.Context(), ledger.ArtifactFilter{ExportID: d.Export, Kind: d.Kind, Present: true}, page)
	if err != nil {
		return err
	}
	for _, a := range found.Rows {
		last := len(d.Groups) - 1
		if last < 0 || d.Groups[last].ExportID != a.ExportID {
			d.Groups, last = append(d.Groups, artifactGroup{ExportID: a.ExportID}), last+1
		}
		g := &d.Groups[last]
		g.Rows, g.Bytes, g.Whole = append(g.Rows, artifactRow{a, decryptCommand(a.Artifact)}), g.Bytes+a.Size, g.Whole || a.Kind == "manifest"
	}
	d.next(found.Next)
	return c.show(q, "artifacts", view{Title: "Artifacts", At: "/artifacts", Data: d})
}

// decryptCommand opens a part with openssl; empty for what is not encrypted.
func decryptCommand(a schemas.Artifact) string {
	if a.Kind != "part" && a.Kind != "attachments" {
		return ""
	}
	// S/MIME begins with its headers, DER does not: one command for both.
	return fmt.Sprintf(`openssl cms -decrypt -inform "$(head -c1 %[1]s | grep -q M && echo SMIME || echo DER)" -in %[1]s -recip cert.pem -inkey key.pem -out %[2]s`,
		shell.Quote(a.Name), shell.Quote(strings.TrimSuffix(a.Name, ".p7m")))
}

// openCommand proves and opens a downloaded export, in the directory of its name.
func openCommand(e schemas.Export) string {
	signer := "SERVICE.pem"
	if c := e.Completion; c != nil && c.SignerSHA256 != "" {
		signer = c.SignerSHA256
	}
	dir := schemas.ExportDir(e.ExportID)
	return shell.Command("cdds", "decrypt", dir, "--signer", signer, "--cert", "cert.pem", "--key", "key.pem", "--out", dir+"-plain")
}

// download streams a file through, whole or a range of it.
func (q *request) download() error {
	a, content, err := q.OpenArtifact(q.r.Context(), q.r.PathValue("export"), q.r.PathValue("name"))
	if err != nil {
		return err
	}
	download.Serve(q.w, q.r, a, content)
	return nil
}

// script is a shell script that fetches every file of an export and checks them.
func (c *Console) script(q *request) error {
	id := q.r.PathValue("export")
	e, err := q.Export(q.r.Context(), id)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `#!/bin/sh
# Fetches every file of an export, checks that each is whole, and says how to open them.
# It needs curl, sha256sum, and an API token in CDDS_TOKEN (the console makes one under
# Access).
set -eu
: "${CDDS_TOKEN:?set CDDS_TOKEN to an API token}"
dir=%s
from=%s
query=%s
mkdir -p "$dir"
cd "$dir"
fetch() {
  [ -s "$1" ] && echo "$2  $1" | sha256sum -c --quiet 2>/dev/null && return 0
  curl -fsSL --retry 3 -H "Authorization: Bearer $CDDS_TOKEN" -o "$1" "$from/$1?$query"
  echo "$2  $1" | sha256sum -c -
}
`, shell.Quote(schemas.ExportDir(e.ExportID)), shell.Quote(c.URL+c.API+"/exports/"+url.PathEscape(e.ExportID)+"/artifacts"), shell.Quote(url.Values{"tenant": {q.Tenant()}}.Encode()))
	err = q.EachArtifact(q.r.Context(), id, func(a schemas.Artifact) error {
		if a.RemovedAt.IsZero() {
			fmt.Fprintln(&b, shell.Command("fetch", a.Name, a.SHA256))
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "printf 'Complete. Prove it and open it with:  %%s\\n' %s\n", shell.Quote(openCommand(e)))
	h := q.w.Header()
	h.Set("Content-Type", "text/x-shellscript; charset=utf-8")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "download-" + id + ".sh"}))
	_, err = q.w.Write([]byte(b.String()))
	return err
}
