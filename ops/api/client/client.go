// Package client calls the HTTP API of CDDS from Go. It holds what the command line
// needs; the OpenAPI document describes the rest.
package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"cdds/schemas"
)

// Client calls one server with one API token. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// timeouts of the parts of a request; its body may take as long as it gets on.
const (
	dialTimeout   = 10 * time.Second
	answerTimeout = time.Minute
	maxAnswer     = 64 << 20
	maxRedirects  = 5
)

// New returns a Client of the server at a URL such as https://cdds.example.com. A token
// is sent in the clear only to loopback.
func New(server, token string) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(server, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the server %q is not a URL such as https://cdds.example.com", server)
	}
	if token == "" {
		return nil, errors.New("there is no API token to call the server with")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("the server %s is not on this machine and not https: the token would travel in the clear", server)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext
	transport.ResponseHeaderTimeout = answerTimeout
	return &Client{base: u, token: token, http: &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		// A link to the object store carries its own signature. net/http would send the token
		// along to another port of the host, and to hosts below it.
		if r.URL.Scheme != u.Scheme || r.URL.Host != u.Host {
			r.Header.Del("Authorization")
		}
		if len(via) >= maxRedirects {
			return fmt.Errorf("%d redirects, the last to %s", len(via), r.URL.Host)
		}
		return nil
	}}}, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Problem is what the server refused or failed with (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
	// Quota says that the tenant's quota is used up.
	Quota bool `json:"-"`
	// RetryAfter is how long to wait, if the server said so.
	RetryAfter time.Duration `json:"-"`
	// sought is what was not found, such as "jobs/nightly of tenant acme".
	sought string
}

func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, e := range p.Errors {
		text += "; " + strings.TrimPrefix(e.Location+": ", ": ") + e.Message
	}
	if p.sought != "" {
		text += ": " + p.sought
	}
	return fmt.Sprintf("the server says: %s (%d)", text, p.Status)
}

// Export is one export with the first of its parts.
func (c *Client) Export(ctx context.Context, tenant, id string) (e schemas.Export, err error) {
	return e, c.call(ctx, http.MethodGet, "/exports/"+url.PathEscape(id), of(tenant), nil, &e)
}

// Parts are the stored parts of an export after a number: some of them, in order, or none if there
// are no more.
func (c *Client) Parts(ctx context.Context, tenant, id string, after int) ([]schemas.Receipt, error) {
	var more struct {
		Items []schemas.Receipt `json:"items"`
		Next  string            `json:"next"`
	}
	q := of(tenant)
	q.Set("after", strconv.Itoa(after))
	err := c.call(ctx, http.MethodGet, "/exports/"+url.PathEscape(id)+"/parts", q, nil, &more)
	return more.Items, err
}

// CancelExport asks to end an export.
func (c *Client) CancelExport(ctx context.Context, tenant, id string) (e schemas.Export, err error) {
	return e, c.call(ctx, http.MethodPost, "/exports/"+url.PathEscape(id)+"/cancel", of(tenant), nil, &e)
}

// RetryExport asks to take a failed export up again.
func (c *Client) RetryExport(ctx context.Context, tenant, id string) (e schemas.Export, err error) {
	return e, c.call(ctx, http.MethodPost, "/exports/"+url.PathEscape(id)+"/retry", of(tenant), nil, &e)
}

// DeleteExport asks to remove the artifacts of an export that has ended.
func (c *Client) DeleteExport(ctx context.Context, tenant, id string) (e schemas.Export, err error) {
	return e, c.call(ctx, http.MethodDelete, "/exports/"+url.PathEscape(id), of(tenant), nil, &e)
}

// Who is who a token stands for.
type Who struct {
	Subject string `json:"subject"`
	Name    string `json:"name"`
	// TenantID is schemas.AllTenants for who sees all of them.
	TenantID string `json:"tenant_id"`
	Role     string `json:"role"`
}

// Who says who the token of this Client stands for.
func (c *Client) Who(ctx context.Context) (w Who, err error) {
	return w, c.call(ctx, http.MethodGet, "/session", url.Values{}, nil, &w)
}

// Tenants lists the tenants that the token sees, by id: those whose id contains a text.
func (c *Client) Tenants(ctx context.Context, containing string) (all []string, err error) {
	for q := (url.Values{"q": {containing}, "limit": {"500"}}); ; {
		var page struct {
			Items []string `json:"items"`
			Next  string   `json:"next"`
		}
		if err := c.call(ctx, http.MethodGet, "/tenants", q, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		q.Set("cursor", page.Next)
	}
}

// TenantsFrom lists the first of the tenants whose id begins with a text.
func (c *Client) TenantsFrom(ctx context.Context, prefix string, most int) ([]string, error) {
	var page struct {
		Items []string `json:"items"`
	}
	q := url.Values{"prefix": {prefix}, "limit": {strconv.Itoa(most)}}
	return page.Items, c.call(ctx, http.MethodGet, "/tenants", q, nil, &page)
}

// Fetch streams a file of a completed export. The caller closes it.
func (c *Client) Fetch(ctx context.Context, tenant, id, name string) (io.ReadCloser, error) {
	answer, err := c.send(ctx, http.MethodGet, "/exports/"+url.PathEscape(id)+"/artifacts/"+url.PathEscape(name), of(tenant), nil)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Chain lists the runs of a job's chain after a number, waiting for one for so many seconds.
func (c *Client) Chain(ctx context.Context, tenant, id string, after, wait int) (runs schemas.ChainRuns, err error) {
	q := of(tenant)
	q.Set("after", strconv.Itoa(after))
	q.Set("wait", strconv.Itoa(wait))
	return runs, c.call(ctx, http.MethodGet, "/jobs/"+url.PathEscape(id)+"/chain", q, nil, &runs)
}

// AcknowledgeChain records how far a receiver is.
func (c *Client) AcknowledgeChain(ctx context.Context, tenant, id string, number int, exportID string) error {
	return c.call(ctx, http.MethodPost, "/jobs/"+url.PathEscape(id)+"/chain/acknowledge", of(tenant), map[string]any{"number": number, "export_id": exportID}, nil)
}

func of(tenant string) url.Values { return url.Values{"tenant": {tenant}} }

// call sends in as JSON, bytes as they are, and reads the answer into out unless it
// is nil.
func (c *Client) call(ctx context.Context, method, path string, q url.Values, in, out any) error {
	answer, err := c.send(ctx, method, path, q, in)
	if err != nil {
		return err
	}
	if out == nil {
		return answer.Body.Close()
	}
	err = read(answer.Body, maxAnswer, out)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// read reads at most that many bytes of an answer into out.
func read(body io.Reader, most int64, out any) error {
	b, err := io.ReadAll(io.LimitReader(body, most))
	if err != nil {
		return err
	}
	return schemas.Read(b, out)
}

// send is the answer to a request, or what it was refused with as a *Problem.
func (c *Client) send(ctx context.Context, method, path string, q url.Values, in any) (*http.Response, error) {
	var body io.Reader
	contentType := "application/json"
	if file, ok := in.([]byte); ok { // sent as it is
		body, contentType = bytes.NewReader(file), "application/octet-stream"
	} else if in != nil {
		b, err := schemas.Encode(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base.String()+schemas.APIPrefix+path+"?"+q.Encode(), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("User-Agent", "cdds")
	if in != nil {
		r.Header.Set("Content-Type", contentType)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("call the server: %w", withoutLink(err))
	}
	if answer.StatusCode < http.StatusBadRequest {
		return answer, nil
	}
	p := new(Problem)
	if read(answer.Body, 1<<20, p) != nil || p.Title == "" { // a proxy may answer anything
		p.Title = http.StatusText(answer.StatusCode)
	}
	p.Status = answer.StatusCode
	if p.Status == http.StatusNotFound {
		p.sought = strings.TrimPrefix(path, "/")
		if tenant := q.Get("tenant"); tenant != "" {
			p.sought += " of tenant " + tenant
		}
	}
	p.Quota = p.Status == http.StatusTooManyRequests && slices.ContainsFunc(answer.Header.Values("RateLimit-Policy"), isQuota)
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return nil, errors.Join(p, answer.Body.Close())
}

// isQuota tells the policies of a tenant's quota from that of requests.
func isQuota(policy string) bool { return !strings.HasPrefix(policy, `"requests"`) }

// withoutLink is an error without the address that was called: that of an object is a link that
// opens it.
func withoutLink(err error) error {
	called := (*url.Error)(nil)
	if !errors.As(err, &called) {
		return err
	}
	if u, bad := url.Parse(called.URL); bad == nil {
		return fmt.Errorf("%s: %w", u.Host, called.Err)
	}
	return called.Err
}
