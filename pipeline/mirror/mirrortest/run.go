// Package mirrortest holds every destination of a copy to one behaviour: it makes real
// runs, sealed and signed, and compares what a copy has with what a model says.
package mirrortest

import (
	"archive/zip"
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"cdds/pipeline/receiver"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// Person has a key pair.
type Person struct {
	Cert *x509.Certificate
	Key  *rsa.PrivateKey
}

func newPerson(name string, purpose smime.Purpose) func() Person {
	return sync.OnceValue(func() Person {
		certPEM, keyPEM, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: name, Bits: 2048, Purpose: purpose})
		if err != nil {
			panic(err)
		}
		pair, err := tls.X509KeyPair(certPEM, keyPEM)
		if err != nil {
			panic(err)
		}
		return Person{pair.Leaf, pair.PrivateKey.(*rsa.PrivateKey)}
	})
}

// Receiver is who runs are sealed for, Service who signs them.
var (
	Receiver = newPerson("receiver", smime.Recipient)
	Service  = newPerson("service", smime.Signer)
)

// Since is the beginning of the range that runs cover.
var Since = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var topics = map[string]schemas.Topic{schemas.EntityInteraction: schemas.TopicInteractions, schemas.EntityContact: schemas.TopicContacts}

// Row is a line of an export, and what is attached to it.
type Row struct {
	Key   schemas.RowKey
	Line  []byte
	Files []File
}

// File is an attachment. Without Content it has a Problem.
type File struct{ ID, Content, Problem string }

// Link is a run of a chain, as it lies in a directory.
type Link struct {
	Dir      string
	Manifest *schemas.Manifest
	SHA256   string
}

// Run is a run to be made.
type Run struct {
	Entity, Job string
	// After is the run before; nil makes one that holds everything. Number is one more than
	// After's if it is 0.
	After       *Link
	Number      int
	Rows        []Row
	Removed     []schemas.Removal
	HistoryFrom *schemas.Time
	// RowsOfAPart divides the rows; 0 makes one part.
	RowsOfAPart int
	// Edit changes the manifest before it is signed.
	Edit func(*schemas.Manifest)
}

// Write makes the run in a new directory.
func (r Run) Write(t testing.TB) *Link {
	t.Helper()
	if r.Number == 0 {
		r.Number = 1
		if r.After != nil {
			r.Number = r.After.Manifest.Chain.Number + 1
		}
	}
	filter := schemas.Filter{TenantID: "acme", Entity: r.Entity, From: schemas.TimeOf(Since), To: schemas.TimeOf(Since.AddDate(1, 0, 0))}
	m := &schemas.Manifest{
		Version: schemas.ManifestVersion, TenantID: "acme", ExportID: fmt.Sprintf("%s.%d", r.Job, r.Number), Filter: filter,
		Topic: topics[r.Entity], Snapshot: schemas.Snapshot{int64(1000 * r.Number)}, Encoding: schemas.EncodingSMIME,
		HistoryFrom: r.HistoryFrom,
		Recipients:  []schemas.CertificateRef{{Fingerprint: smime.Fingerprint(Receiver().Cert)}},
		Chain:       &schemas.Chain{JobID: r.Job, Number: r.Number, FilterDigest: schemas.FilterDigest(filter)},
	}
	if r.After != nil {
		m.SinceExport, m.Since = r.After.Manifest.ExportID, r.After.Manifest.Snapshot
		m.Chain.PreviousExportID, m.Chain.PreviousManifestSHA256 = m.SinceExport, r.After.SHA256
	}
	w := &writer{t: t, m: m, dir: t.TempDir()}
	slices.SortFunc(r.Rows, func(a, b Row) int { return a.Key.Compare(b.Key) })
	slices.SortFunc(r.Removed, func(a, b schemas.Removal) int { return a.Key().Compare(b.Key()) })
	if r.RowsOfAPart == 0 {
		r.RowsOfAPart = max(1, len(r.Rows))
	}
	for rows := range slices.Chunk(r.Rows, r.RowsOfAPart) {
		w.rows(rows)
	}
	w.removed(r.Removed)
	w.attachments(r.Rows)
	if r.Edit != nil {
		r.Edit(m)
	}
	m.Totals = schemas.Total(m.Parts)
	content, err := schemas.Encode(m)
	check(t, err)
	signature, err := smime.Sign(content, Service().Cert, Service().Key)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(w.dir, schemas.ManifestName), content, 0o600))
	check(t, os.WriteFile(filepath.Join(w.dir, schemas.SignatureName), signature, 0o600))
	return &Link{w.dir, m, digest(content)}
}

// Open opens it as its receiver does.
func (l *Link) Open(t testing.TB) *receiver.Export {
	t.Helper()
	e, err := receiver.Open(t.Context(), l.Dir, Receiver().Cert, Receiver().Key, t.TempDir(), receiver.Options{Signers: []*x509.Certificate{Service().Cert}})
	check(t, err)
	t.Cleanup(func() { check(t, e.Close()) })
	return e
}

// writer makes parts.
type writer struct {
	t   testing.TB
	m   *schemas.Manifest
	dir string
}

func (w *writer) rows(rows []Row) {
	var lines bytes.Buffer
	for _, row := range rows {
		lines.Write(append(slices.Clone(row.Line), '\n'))
	}
	w.lines(schemas.Part{First: rows[0].Key, Last: rows[len(rows)-1].Key, Rows: int64(len(rows))}, lines.Bytes())
}

func (w *writer) removed(removals []schemas.Removal) {
	if len(removals) == 0 {
		return
	}
	var lines bytes.Buffer
	for _, r := range removals {
		line, err := schemas.Encode(r)
		check(w.t, err)
		lines.Write(append(line, '\n'))
	}
	w.lines(schemas.Part{Kind: schemas.KindRemoved, First: removals[0].Key(), Last: removals[len(removals)-1].Key(), Rows: int64(len(removals))}, lines.Bytes())
}

// lines makes a part of JSON Lines.
func (w *writer) lines(p schemas.Part, lines []byte) {
	p.Number, p.Bytes = len(w.m.Parts)+1, int64(len(lines))
	w.part(schemas.Receipt{Part: p, JSONLSHA256: digest(lines)}, entry{schemas.EntryName(w.m.Filter.Entity, p), lines})
}

func (w *writer) attachments(rows []Row) {
	p := schemas.Part{Kind: schemas.KindAttachments, Number: len(w.m.Parts) + 1, FirstAttachment: 1}
	var index bytes.Buffer
	var entries []entry
	var problems int64
	for _, row := range rows {
		for i, f := range row.Files {
			if p.Rows == 0 {
				p.First = row.Key
			}
			p.Rows, p.Last, p.LastAttachment = p.Rows+1, row.Key, i+1
			line := schemas.AttachmentLine{InteractionID: row.Key.ID, StartedAt: row.Key.Time, AttachmentID: f.ID, Name: f.ID + ".txt", Problem: f.Problem}
			if f.Problem == "" {
				line.Size, line.SHA256, line.File = int64(len(f.Content)), digest([]byte(f.Content)), schemas.AttachmentPath(p, int(p.Rows), line.Name)
				entries = append(entries, entry{line.File, []byte(f.Content)})
				p.Bytes += line.Size
			} else {
				problems++
			}
			b, err := schemas.Encode(line)
			check(w.t, err)
			index.Write(append(b, '\n'))
		}
	}
	if p.Rows == 0 {
		return
	}
	entries = append(entries, entry{schemas.EntryName(w.m.Filter.Entity, p), index.Bytes()})
	w.part(schemas.Receipt{Part: p, JSONLSHA256: digest(index.Bytes()), IndexBytes: int64(index.Len()), Problems: problems}, entries...)
}

type entry struct {
	name    string
	content []byte
}

func (w *writer) part(r schemas.Receipt, entries ...entry) {
	w.t.Helper()
	var zipped, sealed bytes.Buffer
	z := zip.NewWriter(&zipped)
	for _, e := range entries {
		f, err := z.Create(e.name)
		check(w.t, err)
		_, err = f.Write(e.content)
		check(w.t, err)
	}
	check(w.t, z.Close())
	r.ZipBytes, r.ZipSHA256 = int64(zipped.Len()), digest(zipped.Bytes())
	seal, err := smime.Encrypt(&sealed, smime.Options{ContentSize: r.ZipBytes}, Receiver().Cert)
	check(w.t, err)
	_, err = seal.Write(zipped.Bytes())
	check(w.t, err)
	check(w.t, seal.Close())
	r.Name = schemas.PartName(w.m.Filter.Entity, w.m.ExportID, r.Part)
	r.SealedBytes, r.SealedSHA256 = int64(sealed.Len()), digest(sealed.Bytes())
	w.m.Parts = append(w.m.Parts, r)
	check(w.t, os.WriteFile(filepath.Join(w.dir, r.Name), sealed.Bytes(), 0o600))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
