package receiver

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"io"

	"cdds/schemas"
)

// Export is an export that was verified, to be read part by part without its JSON Lines
// being written anywhere.
type Export struct {
	Report
	d *decryption
}

// Open verifies dir as Verify does. What it decrypts is for a moment in files without a
// name in the directory scratch, which it makes if need be. Errors are those of Decrypt.
// The caller closes the export.
func Open(ctx context.Context, dir string, cert *x509.Certificate, key crypto.Decrypter, scratch string, o Options) (*Export, error) {
	d, report, err := open(ctx, dir, cert, key, scratch, o)
	if err != nil {
		return nil, err
	}
	return &Export{report, d}, nil
}

// Close leaves nothing behind.
func (e *Export) Close() error { return e.d.close() }

// Parts gives each the parts of the export, one after the other. Only when Parts returns nil are they
// what the manifest says: who applies them must be able to take that back.
func (e *Export) Parts(each func(schemas.Receipt) error) error { return e.eachListed(e.d.in, each) }

// Lines gives each line of a part, without its line feed, which is valid until each
// returns. Only when Lines returns nil are they what the manifest says: who applies them
// must be able to take that back.
func (e *Export) Lines(ctx context.Context, part schemas.Receipt, each func(line []byte) error) error {
	spool, discard, err := e.d.spool(ctx, part)
	if err != nil {
		return err
	}
	defer discard()
	s := &splitter{each: each}
	if err := unzip(ctx, s, spool, e.d.entryName(part), part); err != nil {
		return err
	}
	if len(s.rest) > 0 {
		return violated(part.Name, RuleContent, "its last line has no end")
	}
	return nil
}

// Attachments gives each line of the index of a part with attachments, and a function that
// writes its content, or nil if that is not there. An error of the function that is a
// *Violation says that what was written is not what the line says.
func (e *Export) Attachments(ctx context.Context, part schemas.Receipt, each func(line schemas.AttachmentLine, write func(io.Writer) error) error) error {
	spool, discard, err := e.d.spool(ctx, part)
	if err != nil {
		return err
	}
	defer discard()
	_, err = e.d.eachAttachment(ctx, spool, part, each)
	return err
}

// splitter cuts what is written to it into lines.
type splitter struct {
	each func([]byte) error
	rest []byte // of a line whose end has not come yet
}

func (s *splitter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			s.rest = append(s.rest, p...)
			return n, nil
		}
		line := p[:end]
		if len(s.rest) > 0 {
			s.rest = append(s.rest, line...)
			line = s.rest
		}
		if err := s.each(line); err != nil {
			return 0, err
		}
		s.rest, p = s.rest[:0], p[end+1:]
	}
}
