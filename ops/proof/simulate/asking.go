package simulate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"slices"
	"sync"
	"time"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

// asked is an export that somebody requested.
type asked struct {
	request *schemas.ExportRequest
	// step is when the request was acknowledged.
	step int
	// cancelled and deleted say that somebody asked for that, lost that its request is lost.
	cancelled, deleted, lost bool
	// deletedAt is the step at which somebody asked for that first, gone the one at which it was
	// reported, 0 before.
	deletedAt, gone int
	// accepted is the step at which it was accepted, 0 before. look is what was seen of the
	// topic when its snapshot was taken.
	accepted   int
	acceptedAt time.Time
	snapshot   schemas.Snapshot
	look       *look
	// completed is the step at which that was reported first, 0 before.
	completed int
}

// of is what it is an export of, and topic where that comes from.
func (x *asked) of() entityOf { return entityOf{x.request.TenantID, x.request.Entity} }

func (x *asked) topic() schemas.Topic {
	topic, _ := schemas.SourceOf(x.request.Entity)
	return topic
}

func (x *asked) name() string { return "export " + x.request.ExportID }

// seal is what the service signs with: an elliptic curve, as RSA would take a tenth of a
// history's time. It is valid at the time of bubbles.
var seal = sync.OnceValues(func() (*x509.Certificate, crypto.Signer) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: certified, NotAfter: certified.Add(certifiedFor)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert, key
})

// Certificates are valid at the time of bubbles, which begins with the year 2000.
var certified = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

const certifiedFor = 20 * 365 * 24 * time.Hour

// key is the recipient's.
var key = sync.OnceValues(func() (tls.Certificate, string) {
	cert, private, err := smime.GenerateKeyPair(smime.KeyOptions{
		CommonName: "simulate", Bits: 2048, NotBefore: certified, Validity: certifiedFor,
	})
	if err != nil {
		panic(err)
	}
	pair, err := tls.X509KeyPair(cert, private)
	if err != nil {
		panic(err)
	}
	return pair, string(cert)
})

// request asks for an export.
func (w *world) request(a, b, c int) bool {
	r := w.requestOf(tenant(a), schemas.EntityOf(w.source(a/2).of()))
	switch n := b % 6; {
	case r.Entity == schemas.EntityContact && n < len(contactFilters):
		contactFilters[n](r)
	case r.Entity == schemas.EntityContact && b/6%4 < 2:
	case n < 5:
		filters[n](r)
	case b/6%4 < 2:
		filters[5+b/6%4](r)
	case b/6%4 == 2:
		r.Contacts, r.Reason = contacts[1:2+b/24%2], "they asked for it"
	}
	if b%7 == 6 {
		r.Attachments = schemas.AttachmentsNone
	}
	earlier := w.model.acceptedOf(entityOf{r.TenantID, r.Entity})
	switch {
	case len(earlier) == 0:
	case c%6 == 1: // the same point in time
		r.Snapshot = earlier[c%len(earlier)].snapshot
	case c%6 == 2: // the same export once more
		same := earlier[c%len(earlier)].request
		r.From, r.MediaTypes, r.Match, r.Snapshot = same.From, same.MediaTypes, same.Match, earlier[c%len(earlier)].snapshot
	case c%6 == 3:
		r.SinceExport = earlier[c%len(earlier)].request.ExportID
	}
	w.asks(r)
	return true
}

// asks sends a request for an export.
func (w *world) asks(r *schemas.ExportRequest) *asked {
	x := &asked{request: r, step: w.send(r)}
	w.model.exports = append(w.model.exports, x)
	return x
}

// send publishes a message about an export, which is acknowledged at once.
func (w *world) send(r *schemas.ExportRequest) (step int) {
	value, err := schemas.Encode(r)
	if err != nil {
		panic(err)
	}
	t := w.cluster.topics[string(schemas.TopicExportRequests)]
	t.partitions[murmur([]byte(r.Key()), len(t.partitions))].append(&entry{key: []byte(r.Key()), value: value}, w.now())
	return w.steps
}

func tenant(a int) string { return []string{"acme", "globex"}[a%tenants] }

// control asks to cancel, delete or retry an export.
func (w *world) control(action string, a int) bool {
	if len(w.model.exports) == 0 {
		return false
	}
	x := w.model.exports[a%len(w.model.exports)]
	switch {
	case x.lost:
		return false
	case action == schemas.ActionCancel:
		x.cancelled = true
	case action == schemas.ActionDelete:
		x.delete(w.steps)
	}
	w.ask(action, x)
	return true
}

// delete notes that somebody asked for that.
func (x *asked) delete(step int) {
	if !x.deleted {
		x.deleted, x.deletedAt = true, step
	}
}

// ask publishes a control.
func (w *world) ask(action string, x *asked) {
	w.send(&schemas.ExportRequest{
		Action: action, TenantID: x.request.TenantID, ExportID: x.request.ExportID,
		RequestedAt: schemas.TimeOf(w.now()), RequestedBy: "operator",
	})
}

// acceptedOf are the exports of an entity of a tenant that were accepted.
func (m *model) acceptedOf(of entityOf) (all []*asked) {
	for _, x := range m.exports {
		if x.accepted > 0 && x.of() == of {
			all = append(all, x)
		}
	}
	return all
}

// fold is what history would say of an export.
func (w *world) fold(x *asked) schemas.Export {
	return schemas.Fold(slices.DeleteFunc(slices.Clone(w.model.statuses), func(s *schemas.ExportStatus) bool {
		return s.TenantID != x.request.TenantID || s.ExportID != x.request.ExportID
	})...)
}
