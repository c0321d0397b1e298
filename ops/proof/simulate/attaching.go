package simulate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"

	"cdds/schemas"
)

// object is one that events refer to.
type object struct {
	content string
	// touched is the step at which it was lost, changed or removed first; 0: it was not.
	touched int
}

// attach gives an interaction a file that it has itself, and one that is an object.
func (w *world) attach(e *schemas.Interaction) {
	n := w.model.numbers
	inline, content := fmt.Sprint("inline ", n), fmt.Sprint("object ", n)
	key := fmt.Sprintf("%s/%d", e.TenantID, n)
	if w.model.objects == nil {
		w.model.objects = map[string]*object{}
	}
	w.model.objects[key] = &object{content: content}
	if err := w.attachments.PutBytes(context.Background(), key, []byte(content), "text/plain"); err != nil {
		panic(err)
	}
	sum := sha256.Sum256([]byte(content))
	e.Attachments = []schemas.Attachment{
		{AttachmentID: "a", Name: "a.txt", Content: base64.StdEncoding.EncodeToString([]byte(inline))},
		{AttachmentID: "b", Name: "b.txt", Object: key, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])},
	}
}

// touch notes that an object is not what its event says any more.
func (m *model) touch(key string) {
	if o := m.objects[key]; o != nil && o.touched == 0 {
		o.touched = m.w.steps
	}
}

// loseObject is that somebody removes an object that an event refers to, or writes another one in
// its place.
func (w *world) loseObject(a, _, c int) bool {
	keys := slices.Sorted(maps.Keys(w.model.objects))
	if len(keys) == 0 {
		return false
	}
	key, ctx := keys[a%len(keys)], context.Background()
	if _, err := w.attachments.Stat(ctx, key); err != nil { // what is stored there once it was erased is another one
		return false
	}
	w.model.touch(key)
	err := w.attachments.Remove(ctx, key)
	if err == nil && c%2 == 0 {
		err = w.attachments.PutBytes(ctx, key, []byte("another"), "text/plain")
	}
	return err == nil
}

// attachments is the bucket of attachments as a process reaches it.
type attachments struct{ p *process }

// Open implements pipeline.Objects.
func (a attachments) Open(ctx context.Context, key string) (r io.ReadCloser, err error) {
	err = a.p.ask(ctx, atBucket, "attachment "+key, func() (err error) { r, err = a.p.w.attachments.Open(ctx, key); return err })
	return r, err
}

// OpenAt implements pipeline.Objects.
func (a attachments) OpenAt(ctx context.Context, key, version string, offset, size int64) (r io.ReadCloser, is string, err error) {
	err = a.p.ask(ctx, atBucket, "attachment "+key, func() (err error) {
		r, is, err = a.p.w.attachments.OpenAt(ctx, key, version, offset, size)
		return err
	})
	return r, is, err
}

// Remove implements erasure.Objects.
func (a attachments) Remove(ctx context.Context, key string) error {
	return a.p.change(ctx, atBucket, "remove attachment "+key, func() error {
		a.p.w.model.touch(key)
		return a.p.w.attachments.Remove(ctx, key)
	})
}

// file is an attachment as a receiver has it.
type file struct {
	schemas.AttachmentLine
	content string
}

// filesOf reads the zip of a part with attachments.
func filesOf(zipped []byte, part schemas.Part, entry string) (all []file, index []byte, err error) {
	contents, err := unzipAll(zipped)
	if err != nil {
		return nil, nil, err
	}
	index = contents[entry]
	for line := range bytes.Lines(index) {
		var f file
		if err := schemas.Read(bytes.TrimSuffix(line, []byte("\n")), &f.AttachmentLine); err != nil {
			return nil, nil, err
		}
		f.content = string(contents[f.File])
		all = append(all, f)
	}
	if int64(len(all)) != part.Rows {
		return nil, nil, fmt.Errorf("part %d has %d attachments, and the manifest says %d", part.Number, len(all), part.Rows)
	}
	return all, index, nil
}

// checkAttachments: an export has every file of its rows, or says what is wrong with an object that
// somebody lost or changed, or that was erased.
func (w *world) checkAttachments(x *asked, o opened) {
	type id struct{ interaction, attachment string }
	want := map[id]schemas.Attachment{}
	if !x.request.WithoutAttachments() {
		for _, body := range o.bodies {
			e := w.model.byBody[body].event
			for _, a := range e.Attachments {
				want[id{e.InteractionID, a.AttachmentID}] = a
			}
		}
	}
	for _, f := range o.files {
		of := id{f.InteractionID, f.AttachmentID}
		a, is := want[of]
		if !is {
			w.failf("%s has the file %s of interaction %s, which no row of it has, or has it twice", x.name(), f.AttachmentID, f.InteractionID)
			return
		}
		delete(want, of)
		content, _ := a.Decoded()
		touched := 0
		if object := w.model.objects[a.Object]; object != nil {
			content, touched = []byte(object.content), object.touched
		}
		switch {
		case f.Problem == "" && f.content != string(content):
			w.failf("%s has %q as file %s of interaction %s, not %q", x.name(), f.content, f.AttachmentID, f.InteractionID, content)
		case f.Problem != "" && (touched == 0 || x.completed > 0 && touched > x.completed):
			w.failf("%s does not have the file %s of interaction %s, which nothing happened to: %s", x.name(), f.AttachmentID, f.InteractionID, f.Problem)
		case f.Problem != "":
			w.coverage["a file is missing, and told"]++
		}
	}
	for of := range want {
		w.failf("%s says nothing of the file %s of interaction %s", x.name(), of.attachment, of.interaction)
	}
}
