package simulate

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

// opened is a completed export as its receiver has it.
type opened struct {
	manifest *schemas.Manifest
	// bodies are the rows, in order; removals what the receiver must not have any more.
	bodies   []string
	removals []schemas.Removal
	files    []file
	// sum is the digest of the manifest.
	sum string
}

// open verifies and decrypts what is stored of an export.
func (w *world) openExport(x *asked) (o opened, err error) {
	service, _ := seal()
	ctx := context.Background()
	prefix := schemas.ExportPrefix(x.request.TenantID, x.request.ExportID)
	content, err := w.objects.GetBytes(ctx, prefix+schemas.ManifestName, 1<<20)
	if err != nil {
		return o, err
	}
	signature, err := w.objects.GetBytes(ctx, prefix+schemas.SignatureName, 1<<20)
	if err != nil {
		return o, err
	}
	if signed := sha256.Sum256(slices.Concat(content, signature)); !w.verified[signed] {
		if signer, err := smime.Verify(content, signature); err != nil || !signer.Equal(service) {
			return o, fmt.Errorf("the manifest is not signed by the service: %w", err)
		}
		w.verified[signed] = true
	}
	if o.manifest, err = schemas.DecodeManifest(content); err != nil {
		return o, err
	}
	o.sum = digestOf(content)
	for _, part := range o.manifest.Parts {
		sealed, err := w.objects.GetBytes(ctx, part.Key, 1<<30)
		if err != nil {
			return o, err
		}
		if digestOf(sealed) != part.SealedSHA256 || int64(len(sealed)) != part.SealedBytes {
			return o, fmt.Errorf("%s is not what the manifest lists", part.Name)
		}
		zipped, err := w.decrypt(sealed)
		if err != nil {
			return o, err
		}
		if part.Kind == schemas.KindAttachments {
			files, index, err := filesOf(zipped, part.Part, schemas.EntryName(o.manifest.Filter.Entity, part.Part))
			if err != nil {
				return o, err
			}
			if digestOf(zipped) != part.ZipSHA256 || digestOf(index) != part.JSONLSHA256 {
				return o, fmt.Errorf("the content of %s is not what the manifest lists", part.Name)
			}
			o.files = append(o.files, files...)
			continue
		}
		lines, err := unzip(zipped)
		if err != nil {
			return o, err
		}
		if digestOf(zipped) != part.ZipSHA256 || digestOf(lines) != part.JSONLSHA256 {
			return o, fmt.Errorf("the content of %s is not what the manifest lists", part.Name)
		}
		rows := strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n")
		if int64(len(rows)) != part.Rows {
			return o, fmt.Errorf("%s has %d rows, and the manifest says %d", part.Name, len(rows), part.Rows)
		}
		if part.Kind != schemas.KindRemoved {
			for _, row := range rows {
				o.bodies = append(o.bodies, w.unhidden(x, o.manifest, row))
			}
			continue
		}
		for _, line := range rows {
			r, err := schemas.DecodeRemoval([]byte(line))
			if err != nil {
				return o, err
			}
			o.removals = append(o.removals, r)
		}
	}
	return o, nil
}

// decrypt is what was sealed. Laws look at an export more than once, and keys take a
// millisecond: the same message is decrypted once, and the same signature verified once.
func (w *world) decrypt(sealed []byte) ([]byte, error) {
	sum := sha256.Sum256(sealed)
	if plain, known := w.decrypted[sum]; known {
		return plain, nil
	}
	pair, _ := key()
	r, err := smime.Decrypt(bytes.NewReader(sealed), pair.Leaf, pair.PrivateKey.(crypto.Decrypter))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(r)
	if err == nil {
		w.decrypted[sum] = plain
	}
	return plain, err
}

// unzip is the only file of a zip.
func unzip(zipped []byte) ([]byte, error) {
	all, err := unzipAll(zipped)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("a zip of rows has %d files", len(all))
	}
	for _, content := range all {
		return content, err
	}
	return nil, err
}

// unzipAll are the files of a zip, by name.
func unzipAll(zipped []byte) (map[string][]byte, error) {
	archive, err := zip.NewReader(bytes.NewReader(zipped), int64(len(zipped)))
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, f := range archive.File {
		entry, err := f.Open()
		if err != nil {
			return nil, err
		}
		all[f.Name], err = io.ReadAll(entry)
		if err := errors.Join(err, entry.Close()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
