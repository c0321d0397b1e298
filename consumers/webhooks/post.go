package webhooks

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"cdds/schemas"
)

// Headers of Standard Webhooks.
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

// Secret is the signing secret of a version of a job's webhook, as receivers' libraries
// take it: whsec_ and base64. It is derived (HKDF, RFC 5869), so that no event and no
// store holds it.
func Secret(service []byte, tenantID, jobID string, version int) (string, error) {
	key, err := signingKey(service, tenantID, jobID, version)
	if err != nil {
		return "", err
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(key), nil
}

func signingKey(service []byte, tenantID, jobID string, version int) ([]byte, error) {
	if len(service) == 0 {
		return nil, errors.New("there is no secret to derive from; set webhooks.secret_file")
	}
	// Neither id holds a slash.
	return hkdf.Key(sha256.New, service, nil, fmt.Sprintf("cdds webhook v1 %s/%s/%d", tenantID, jobID, version), sha256.Size)
}

// sign is the webhook-signature of a message.
func sign(key []byte, id string, timestamp int64, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, timestamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// message is the body of a webhook.
type message struct {
	Type string `json:"type"`
	// Timestamp is when the event happened.
	Timestamp schemas.Time `json:"timestamp"`
	Data      data         `json:"data"`
}

type data struct {
	TenantID string        `json:"tenant_id"`
	JobID    string        `json:"job_id"`
	ExportID string        `json:"export_id,omitempty"`
	State    schemas.State `json:"state,omitempty"`
	// Totals and ExpiresAt come with completed.
	Totals    *schemas.Totals `json:"totals,omitempty"`
	ExpiresAt schemas.Time    `json:"expires_at,omitzero"`
	// Stage and Retryable come with failed.
	Stage     string `json:"stage,omitempty"`
	Retryable bool   `json:"retryable,omitempty"`
}

// factOf is the part of a status that a webhook message carries.
func factOf(s *schemas.ExportStatus) *schemas.WebhookFact {
	f := schemas.WebhookFact{Time: s.Time, State: s.State}
	if c := s.Completion; c != nil {
		f.Totals, f.ExpiresAt = &c.Totals, c.ExpiresAt
	}
	if why := s.Failure; why != nil {
		f.Stage, f.Retryable = why.Stage, why.Retryable
	}
	return &f
}

// bodyOf is the message of a delivery: the same bytes for every attempt.
func bodyOf(d *schemas.WebhookDelivery) ([]byte, error) {
	f := d.Fact
	return schemas.Encode(message{Type: d.Event, Timestamp: f.Time, Data: data{
		TenantID: d.TenantID, JobID: d.JobID, ExportID: d.ExportID, State: f.State,
		Totals: f.Totals, ExpiresAt: f.ExpiresAt, Stage: f.Stage, Retryable: f.Retryable,
	}})
}

// maxAnswer bounds what is read of an answer, in bytes; nothing of it is kept.
const maxAnswer = 64 << 10

func (h *Handler) post(ctx context.Context, j schemas.Job, d *schemas.WebhookDelivery) (status int, err error) {
	body, err := bodyOf(d)
	if err != nil {
		return 0, err
	}
	key, err := signingKey(h.Secret, j.TenantID, j.JobID, j.Webhook.SecretVersion)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, j.Webhook.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	timestamp := time.Now().Unix() // the receiver's clock is the real one
	r.Header.Set("Content-Type", schemas.ContentTypeJSON)
	r.Header.Set("User-Agent", "cdds-webhooks/1")
	r.Header.Set(headerID, d.WebhookID)
	r.Header.Set(headerTimestamp, strconv.FormatInt(timestamp, 10))
	r.Header.Set(headerSignature, sign(key, d.WebhookID, timestamp, body))
	answer, err := h.client.Do(r)
	if err != nil {
		return 0, err
	}
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // the status is the answer
	return answer.StatusCode, answer.Body.Close()
}

// newClient returns a client that follows no redirects and reaches no internal address.
func newClient(timeout time.Duration, allowPrivate bool) *http.Client {
	dialer := &net.Dialer{Timeout: timeout}
	if !allowPrivate {
		// Asked with the address itself, after names were resolved: a name that points
		// inside, or does the second time, gets no further than one that is an address.
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !public(to.Addr()) {
				return errNotPublic
			}
			return nil
		}
	}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: maxAnswer,
			DisableKeepAlives: true, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var errNotPublic = errors.New("its address is not a public one; allow that with webhooks.allow_private where it is meant")

// special are blocks that are global by their form but lead inside, to nobody, or, as
// translations of IPv4, wherever they say (IANA special-purpose address registries).
var special = func() (all []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "240.0.0.0/4", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}()

// public reports whether an address is one of the internet.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, block := range special {
		if block.Contains(a) {
			return false
		}
	}
	return true
}
