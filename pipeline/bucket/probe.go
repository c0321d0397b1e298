package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"cdds/pipeline/answer"
)

// UnfitError says why a store cannot keep what CDDS promises.
type UnfitError struct {
	Bucket string
	// Problems, each with the way out.
	Problems []string
}

func (e *UnfitError) Error() string {
	return "the object store is not fit for bucket " + e.Bucket + ":\n  " + strings.Join(e.Problems, "\n  ")
}

// Means is answer.Mendable: only an operator can change it.
func (e *UnfitError) Means() answer.Meaning { return answer.Mendable }

const (
	// maxSkew is how far the store's clock may be from ours. S3 refuses signed requests at
	// 15 minutes; this leaves time to mend it.
	maxSkew = 5 * time.Minute
	// probeWriters write one key at the same time.
	probeWriters = 8
)

// Probe tries on objects of its own, below folder, whether the store does what CDDS needs:
// one of several writers of a key succeeds, objects read back as they were written, the
// clock is right, nothing is removed by age before kept, what is removed leaves no version, what is
// locked stays, and the credentials allow all of this. It is an *UnfitError with everything that is wrong, or the error of a store that
// does not answer. It removes its objects.
func (b *Bucket) Probe(ctx context.Context, folder string, kept time.Duration, now func() time.Time) error {
	p := &probe{Bucket: b, prefix: folder + strings.ToLower(rand.Text()) + "/", now: now}
	defer p.cleanUp(context.WithoutCancel(ctx))
	for _, step := range []func(context.Context) error{
		p.retention, p.absence, p.writing, p.racing, p.reading, p.listing, p.holding,
		func(ctx context.Context) error { return p.expiry(ctx, kept) },
		p.locking, p.removing,
	} {
		if err := step(ctx); err != nil && !p.explain(err) {
			return fmt.Errorf("probe bucket %s: %w", b.name, err)
		}
	}
	return p.verdict()
}

// ProbeAttachments is Probe of the bucket of attachments, where exports read and erasures remove.
func (b *Bucket) ProbeAttachments(ctx context.Context, folder string) error {
	p := &probe{Bucket: b, prefix: folder + strings.ToLower(rand.Text()) + "/"}
	for _, step := range []func(context.Context) error{p.absence, p.removable, p.versionsRemovable} {
		if err := step(ctx); err != nil && !p.explain(err) {
			return fmt.Errorf("probe bucket %s: %w", b.name, err)
		}
	}
	return p.verdict()
}

// removable: removing what is not there takes the same right.
func (p *probe) removable(ctx context.Context) error {
	err := p.Remove(ctx, p.prefix+"absent")
	if refused(err) {
		p.problem("it does not let objects be removed, which erasures must (%v): allow s3:DeleteObject", err)
		return nil
	}
	return err
}

// probe is a Probe at work.
type probe struct {
	*Bucket
	prefix string
	now    func() time.Time
	// retained says that nothing can be removed that is stored.
	retained bool
	// written says that there is an object to go on with.
	written  bool
	problems []string
}

func (p *probe) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

func (p *probe) verdict() error {
	if len(p.problems) > 0 {
		return &UnfitError{p.name, p.problems}
	}
	return nil
}

// explain turns an error into a problem if the answer lies in how the store or its clock
// is set up. The rest is about this moment, or about the credentials as a whole.
func (p *probe) explain(err error) bool {
	if a := (minio.ErrorResponse{}); errors.As(err, &a) && (a.Code == "RequestTimeTooSkewed" || a.Code == "RequestExpired") {
		p.problem("its clock or ours is wrong (%s): synchronise both with NTP", a.Code)
		return true
	}
	return false
}

// refused reports whether the store refused what needs a permission.
func refused(err error) bool { return answer.Of(err) == answer.Refused }

const (
	firstText  = "the first writer's\n"
	secondText = "the second writer's\n"
	probeMeta  = "probe"
)

func (p *probe) content(text string) Content {
	return Content{
		Body: strings.NewReader(text), Size: int64(len(text)), SHA256: digest([]byte(text)), Type: "text/plain",
		Metadata: map[string]string{probeMeta: "yes"}, Expires: true,
	}
}

// absence: without the right to list, S3 answers 403 for an object that is not there, and
// nothing could be decided first.
func (p *probe) absence(ctx context.Context) error {
	_, err := p.GetBytes(ctx, p.prefix+"absent", 1)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case refused(err):
		p.problem("it does not say that an object is absent (%v): allow s3:GetObject and s3:ListBucket", err)
		return nil
	case err == nil:
		p.problem("it has an object that nobody wrote: %sabsent", p.prefix)
	}
	return err
}

func (p *probe) writing(ctx context.Context) error {
	if p.retained {
		return nil
	}
	err := p.Put(ctx, p.prefix+"once", p.content(firstText))
	switch {
	case errors.Is(err, ErrExists):
		p.problem("it says that a new key is taken already: it does not understand If-None-Match: * on PUT")
		return nil
	case refused(err):
		p.problem("it does not take a PUT with If-None-Match: * and a tag (%v): allow s3:PutObject and s3:PutObjectTagging, or use a store that has conditional writes", err)
		return nil
	case err != nil:
		return err
	}
	p.written = true
	err = p.Put(ctx, p.prefix+"once", p.content(secondText))
	switch {
	case errors.Is(err, ErrExists):
		return nil
	case err == nil:
		p.problem("it ignores If-None-Match: * on PUT, so a later writer overwrites an earlier one: use a store that honours it, such as AWS S3, MinIO or versitygw")
		p.written = false
		return nil
	case answer.Of(err) == answer.Contended:
		p.problem("it answers 409 to a PUT with If-None-Match: * of a key that has an object and no writer, where S3 answers 412")
		p.written = false
		return nil
	}
	return err
}

// racing: a store may look first and write then, which two writers can slip between.
func (p *probe) racing(ctx context.Context) error {
	if !p.written {
		return nil
	}
	won := make([]bool, probeWriters)
	failed := make([]error, probeWriters)
	var wg sync.WaitGroup
	for n := range probeWriters {
		wg.Go(func() {
			err := p.Put(ctx, p.prefix+"raced", p.content(strings.Repeat(fmt.Sprint(n, "\n"), 8<<10)))
			if won[n] = err == nil; err != nil && !errors.Is(err, ErrExists) {
				failed[n] = err
			}
		})
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	winners := 0
	for _, w := range won {
		if w {
			winners++
		}
	}
	if winners != 1 {
		p.problem("of %d writers of one key at the same time it told %d that they were the first: its conditional writes are not atomic", probeWriters, winners)
	}
	return nil
}

func (p *probe) reading(ctx context.Context) error {
	if !p.written {
		return nil
	}
	content, err := p.GetBytes(ctx, p.prefix+"once", 1<<10)
	var object Object
	if err == nil {
		object, err = p.Stat(ctx, p.prefix+"once")
	}
	switch {
	case refused(err):
		p.problem("it does not give an object that was just stored (%v): allow s3:GetObject", err)
		return nil
	case errors.Is(err, ErrNotFound):
		p.problem("an object that was just stored is not there: reads must see writes at once")
		return nil
	case err != nil:
		return err
	case string(content) != firstText || object.Size != int64(len(firstText)):
		p.problem("an object does not read back as it was written")
	case object.Metadata[probeMeta] != "yes":
		p.problem("it does not keep the metadata of objects (x-amz-meta-...)")
	}
	if skew := object.Modified.Sub(p.now()); skew.Abs() > maxSkew {
		p.problem("its clock is %s from ours: synchronise both with NTP", skew.Round(time.Second))
	}
	return nil
}

func (p *probe) listing(ctx context.Context) error {
	if !p.written {
		return nil
	}
	all, err := p.List(ctx, p.prefix)
	switch {
	case refused(err):
		p.problem("it does not list objects (%v): allow s3:ListBucket", err)
		return nil
	case err != nil:
		return err
	case len(all) != 2:
		p.problem("a listing has %d of the 2 objects that were just stored: listings must see writes at once", len(all))
	}
	return nil
}

// holding: what a hold keeps must not go by the rule of what expires.
func (p *probe) holding(ctx context.Context) error {
	if !p.written {
		return nil
	}
	err := p.Hold(ctx, p.prefix+"once", true)
	if err == nil {
		err = p.Hold(ctx, p.prefix+"once", false) // should the probe leave it, the rule removes it
	}
	if refused(err) {
		p.problem("it does not let the tag of an object be changed (%v): allow s3:PutObjectTagging, or its lifecycle rule removes files that a hold keeps", err)
		return nil
	}
	return err
}

// archives are the storage classes whose objects are not read without being restored.
var archives = []string{"GLACIER", "DEEP_ARCHIVE"}

// expiry: what decides exports must outlive them, so no rule may remove it by age; and
// artifacts must stay as long as their manifest says.
func (p *probe) expiry(ctx context.Context, kept time.Duration) error {
	rules, err := p.lifecycle(ctx)
	if errors.Is(err, ErrNoLifecycle) {
		return nil
	}
	if refused(err) {
		p.problem("it does not show its lifecycle rules (%v): allow s3:GetLifecycleConfiguration and s3:PutLifecycleConfiguration", err)
		return nil
	}
	if err != nil {
		return err
	}
	for _, r := range rules.Rules {
		if r.Status != "Enabled" {
			continue
		}
		expires := !r.Expiration.IsDateNull() || !r.Expiration.IsDaysNull()
		archived := false
		for _, class := range archives {
			archived = archived || r.Transition.StorageClass == class
		}
		days := time.Duration(r.Expiration.Days) * 24 * time.Hour
		switch {
		case (expires || archived) && !artifactsOnly(r):
			p.problem("its lifecycle rule %q removes or archives by age what decides exports, and an old request would run again: limit the rule to objects with the tag %s=%s, or remove it", r.ID, expiresTag, expiresValue)
		case archived || expires && days < kept:
			p.problem("its lifecycle rule %q takes artifacts away before their %s are over: raise its days, or remove it; `cdds provision` sets a rule of its own", r.ID, kept)
		}
	}
	return nil
}

// artifactsOnly reports whether a rule is about nothing but what may expire.
func artifactsOnly(r lifecycle.Rule) bool {
	ours := lifecycle.Tag{Key: expiresTag, Value: expiresValue}
	for _, t := range append(r.RuleFilter.And.Tags, r.RuleFilter.Tag) {
		if t.Key == ours.Key && t.Value == ours.Value {
			return true
		}
	}
	return false
}

func (p *probe) removing(ctx context.Context) error {
	if !p.written {
		return nil
	}
	switch err := p.Remove(ctx, p.prefix+"once"); {
	case refused(err):
		p.problem("it does not remove objects (%v): allow s3:DeleteObject, and s3:ListBucketVersions and s3:DeleteObjectVersion in a bucket that keeps versions, or what expired stays for ever", err)
		return nil
	case err != nil:
		return err
	}
	if _, err := p.Stat(ctx, p.prefix+"once"); err == nil {
		p.problem("an object that was removed is still there")
	} else if !errors.Is(err, ErrNotFound) && !refused(err) {
		return err
	}
	return p.leavingNothing(ctx)
}

func (p *probe) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, name := range []string{"once", "raced"} {
		_ = p.Remove(ctx, p.prefix+name) // the lifecycle rule removes what this leaves
	}
}
