package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// Decisions are what is decided once about exports. Each is an object of the bucket that is
// written under If-None-Match: *, so that of several who decide one does and the others
// adopt that. In the order of an export's life:
//
//	<tenant>/<export>/refused-<partition>-<position>.json a message is refused, and why
//	<tenant>/<export>/accepted.json                       which request the id stands for, as of which snapshot
//	_cdds/open/<partition>/<tenant>/<export>.<attempt>    the attempt is to be carried out
//	<tenant>/<export>/quota-<attempt>.json                whether a bounded tenant had bytes left when the attempt began
//	<tenant>/<export>/chain.json                          what it continues
//	<tenant>/<export>/plan.json                           its parts
//	_cdds/chains/<tenant>/<job>/<number>.json             which run of the job has the place
//	<tenant>/<export>/<part>, manifest.json, .p7s         the artifacts, the manifest last
//	<tenant>/<export>/failed-<attempt>.json               the attempt was given up, and why
//	<tenant>/<export>/attempt-<attempt>.json              the message that began another
//	<tenant>/<export>/ended.json                          completed, cancelled, deleted or expired
//	<tenant>/<export>/cancelled.json                      no artifact of it may stay
//
// An export is open from the object under _cdds/open on until that is removed, after its end
// was decided and reported. Only those objects are ever removed while the export is known:
// listing them costs what is open, not what ever was. They are sorted by the partition
// through which the request came, because the owner of the partition carries its exports
// out and learns of controls about them; whoever takes the partition over lists them and
// goes on. A compacted topic would do the same with a copy of all open exports in each
// worker, and with a second place where decisions are made.
//
// Beside them are the decisions about topics, see Incarnations and WriteOffs, and about erasures,
// see Erasures.
type Decisions struct {
	// Store keeps them.
	Store Store
	// Now is the clock.
	Now func() time.Time
}

// Acceptance is the stored decision which request an export id stands for, and
// between which points.
type Acceptance struct {
	// Digest is schemas.ExportRequest.Digest of the accepted request.
	Digest string `json:"digest"`
	// Request is what is carried out.
	Request *schemas.ExportRequest `json:"-"`
	// Stored is how Request is stored.
	Stored *storedRequest `json:"request,omitempty"`
	// Origin is where the request was read; nil in what earlier versions stored.
	Origin   *Origin          `json:"origin,omitempty"`
	Snapshot schemas.Snapshot `json:"snapshot"`
	// Epochs are the leader epochs the snapshot was taken under, by partition, -1 where they are
	// not known; none if the request named the snapshot.
	Epochs []int32 `json:"epochs,omitempty"`
	// Since is the snapshot of the export this one continues, or nil.
	Since schemas.Snapshot `json:"since,omitempty"`
	// HistoryFrom is before when rows of the tenant were kept no longer, in what earlier
	// versions stored; now the plan says so.
	HistoryFrom *schemas.Time `json:"history_from,omitempty"`
	AcceptedAt  schemas.Time  `json:"accepted_at"`
	// PolicyKeyID is the id of the key that the pseudonyms of the request's field policy are made
	// with: made with another one they would not be those of the tenant's other exports.
	PolicyKeyID string `json:"policy_key_id,omitempty"`
	// Certificates are the recipients' in PEM, so that every part is sealed for the same
	// ones although the registered ones change; none in what earlier versions stored.
	Certificates []string `json:"certificates,omitempty"`
}

// From is HistoryFrom, or the zero time.
func (a Acceptance) From() schemas.Time {
	if a.HistoryFrom == nil {
		return schemas.Time{}
	}
	return *a.HistoryFrom
}

// Origin is the position of a message: reading it again decides nothing new.
type Origin struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// ErrConflict says that the export id stands for another request.
var ErrConflict = errors.New("the export id is already used by a request with different content; choose another id")

// Accept records the request under its id with the snapshots and certificates that take
// returns, or returns what was recorded when it was accepted before. It is ErrConflict if the
// id stands for a request with another digest.
func (d Decisions) Accept(ctx context.Context, r *schemas.ExportRequest, from Origin, take func() (Acceptance, error)) (Acceptance, error) {
	var a Acceptance
	_, err := once(ctx, d.Store, schemas.ExportPrefix(r.TenantID, r.ExportID)+acceptedName, &a, func() (Acceptance, error) {
		taken, err := take()
		taken.Digest, taken.Stored, taken.Origin, taken.AcceptedAt = r.Digest(), (*storedRequest)(r), &from, schemas.TimeOf(d.Now())
		return taken, err
	})
	a.Request = (*schemas.ExportRequest)(a.Stored)
	if err == nil && a.Digest != r.Digest() {
		return a, Permanent(ErrConflict)
	}
	return a, err
}

// Accepted returns what was recorded when the export was accepted; false if it never
// was.
func (d Decisions) Accepted(ctx context.Context, tenantID, exportID string) (a Acceptance, found bool, err error) {
	found, err = d.read(ctx, schemas.ExportPrefix(tenantID, exportID)+acceptedName, &a)
	a.Request = (*schemas.ExportRequest)(a.Stored)
	return a, found, err
}

// Planned returns the plan of an export; false if it was never planned.
func (d Decisions) Planned(ctx context.Context, tenantID, exportID string) (plan schemas.Plan, found bool, err error) {
	key := schemas.ExportPrefix(tenantID, exportID) + planName
	r, err := d.Store.Open(ctx, key)
	if errors.Is(err, bucket.ErrNotFound) {
		return plan, false, nil
	}
	if err != nil {
		return plan, false, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	plan, err = schemas.ReadPlan(io.LimitReader(r, schemas.MaxManifestBytes))
	return plan, err == nil, unreadable(key, err)
}

// Refusal is the stored decision that a message is not granted.
type Refusal struct {
	Reason string       `json:"reason"`
	At     schemas.Time `json:"at"`
}

// Refuse records why the message at from is refused, and returns the reason that counts: the
// one recorded first. Read again, a message that was refused is not granted because
// something has changed since.
func (d Decisions) Refuse(ctx context.Context, tenantID, exportID string, from Origin, reason string) (string, error) {
	var refused Refusal
	_, err := once(ctx, d.Store, schemas.ExportPrefix(tenantID, exportID)+refusedName(from), &refused, func() (Refusal, error) {
		return Refusal{reason, schemas.TimeOf(d.Now())}, nil
	})
	return refused.Reason, err
}

// Refused returns why the message at from was refused, false if it was not.
func (d Decisions) Refused(ctx context.Context, tenantID, exportID string, from Origin) (reason string, found bool, err error) {
	var refused Refusal
	found, err = d.read(ctx, schemas.ExportPrefix(tenantID, exportID)+refusedName(from), &refused)
	return refused.Reason, found, err
}

// read decodes a stored document; false if none exists.
func (d Decisions) read(ctx context.Context, key string, v any) (bool, error) {
	return read(ctx, d.Store, key, v)
}

// exists reports whether there is an object.
func (d Decisions) exists(ctx context.Context, key string) (bool, error) {
	found, err := exists(ctx, d.Store, key)
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", key, err)
	}
	return found, nil
}
