//go:build !receiver

package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"cdds/ops/api"
	"cdds/schemas"
)

// Jobs lists a tenant's jobs.
func (c *Client) Jobs(ctx context.Context, tenant string) (all api.Listing[schemas.Job], err error) {
	return all, c.call(ctx, http.MethodGet, "/jobs", of(tenant), nil, &all)
}

// RunJob asks for a run of a job now.
func (c *Client) RunJob(ctx context.Context, tenant, id string) (e schemas.Export, err error) {
	return e, c.call(ctx, http.MethodPost, "/jobs/"+url.PathEscape(id)+"/run", of(tenant), nil, &e)
}

// Job is one job.
func (c *Client) Job(ctx context.Context, tenant, id string) (j schemas.Job, err error) {
	return j, c.call(ctx, http.MethodGet, "/jobs/"+url.PathEscape(id), of(tenant), nil, &j)
}

// CreateJob makes a job under an id.
func (c *Client) CreateJob(ctx context.Context, tenant, id string, in api.JobInput) (j schemas.Job, err error) {
	body := struct {
		ID string `json:"job_id,omitempty"`
		api.JobInput
	}{id, in}
	return j, c.call(ctx, http.MethodPost, "/jobs", of(tenant), body, &j)
}

// ChangeJob changes a job that was read in this revision.
func (c *Client) ChangeJob(ctx context.Context, tenant, id string, revision int, in api.JobInput) (j schemas.Job, err error) {
	body := struct {
		Revision int `json:"revision"`
		api.JobInput
	}{revision, in}
	return j, c.call(ctx, http.MethodPut, "/jobs/"+url.PathEscape(id), of(tenant), body, &j)
}

// SetJobState suspends, resumes (active) or deletes a job.
func (c *Client) SetJobState(ctx context.Context, tenant, id, state string) (j schemas.Job, err error) {
	path := "/jobs/" + url.PathEscape(id)
	switch state {
	case schemas.JobDeleted:
		return j, c.call(ctx, http.MethodDelete, path, of(tenant), nil, &j)
	case schemas.JobSuspended:
		return j, c.call(ctx, http.MethodPost, path+"/suspend", of(tenant), nil, &j)
	}
	return j, c.call(ctx, http.MethodPost, path+"/resume", of(tenant), nil, &j)
}

// RestartChain has the next run of a job hold everything.
func (c *Client) RestartChain(ctx context.Context, tenant, id string) (j schemas.Job, err error) {
	return j, c.call(ctx, http.MethodPost, "/jobs/"+url.PathEscape(id)+"/restart-chain", of(tenant), nil, &j)
}

// JobRuns lists the latest exports a job made.
func (c *Client) JobRuns(ctx context.Context, tenant, id string, limit int) ([]schemas.Export, error) {
	q := url.Values{"tenant": {tenant}, "job": {id}, "limit": {strconv.Itoa(limit)}}
	var page api.Listing[schemas.Export]
	err := c.call(ctx, http.MethodGet, "/exports", q, nil, &page)
	return page.Items, err
}

// Certificates lists a tenant's certificates, the latest first.
func (c *Client) Certificates(ctx context.Context, tenant string) ([]schemas.Certificate, error) {
	var all api.Listing[schemas.Certificate]
	err := c.call(ctx, http.MethodGet, "/certificates", of(tenant), nil, &all)
	return all.Items, err
}

// AddCertificate registers a certificate in PEM or DER.
func (c *Client) AddCertificate(ctx context.Context, tenant, name string, file []byte) (out schemas.Certificate, err error) {
	return out, c.call(ctx, http.MethodPost, "/certificates", url.Values{"tenant": {tenant}, "name": {name}}, file, &out)
}

// ReplaceCertificate registers a certificate and has it used where fingerprint is named.
func (c *Client) ReplaceCertificate(ctx context.Context, tenant, fingerprint, name string, file []byte) (out schemas.Certificate, err error) {
	q := url.Values{"tenant": {tenant}, "name": {name}}
	return out, c.call(ctx, http.MethodPut, "/certificates/"+fingerprint+"/replacement", q, file, &out)
}

// RemoveCertificate has nothing sealed for a certificate any more.
func (c *Client) RemoveCertificate(ctx context.Context, tenant, fingerprint string) error {
	return c.call(ctx, http.MethodDelete, "/certificates/"+fingerprint, of(tenant), nil, nil)
}

const maxSample = 1 << 20

// Sample is a small message sealed for a certificate.
func (c *Client) Sample(ctx context.Context, tenant, fingerprint, cipher, keyTransport string) ([]byte, error) {
	q := url.Values{"tenant": {tenant}, "cipher": {cipher}, "key_transport": {keyTransport}}
	answer, err := c.send(ctx, http.MethodGet, "/certificates/"+fingerprint+"/sample", q, nil)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxSample))
	return b, errors.Join(err, answer.Body.Close())
}

// Audit lists a page of who did what, the latest first.
func (c *Client) Audit(ctx context.Context, tenant, subject string, limit int, cursor string) (page api.Listing[schemas.AuditRecord], err error) {
	q := url.Values{"tenant": {tenant}, "limit": {strconv.Itoa(limit)}}
	if subject != "" {
		q.Set("subject", subject)
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return page, c.call(ctx, http.MethodGet, "/audit", q, nil, &page)
}

// Erase asks to forget contacts and interactions.
func (c *Client) Erase(ctx context.Context, r schemas.ErasureRequest) (out schemas.ErasureRequest, err error) {
	in := map[string]any{
		"erasure_id": r.ErasureID, "contact_id": r.ContactID, "interaction_id": r.InteractionID,
		"contacts": r.Contacts, "interactions": r.Interactions, "skip_unknown": r.SkipUnknown, "delete_artifacts": r.DeleteArtifacts,
	}
	return out, c.call(ctx, http.MethodPost, "/erasures", of(r.TenantID), in, &out)
}

// Erasure is how an erasure stands.
func (c *Client) Erasure(ctx context.Context, tenant, id string) (e schemas.Erasure, err error) {
	return e, c.call(ctx, http.MethodGet, "/erasures/"+url.PathEscape(id), of(tenant), nil, &e)
}

// Users lists a tenant's users.
func (c *Client) Users(ctx context.Context, tenant string) ([]api.UserView, error) {
	var all api.Listing[api.UserView]
	err := c.call(ctx, http.MethodGet, "/users", of(tenant), nil, &all)
	return all.Items, err
}

// CreateUser makes a user and returns its one-time password.
func (c *Client) CreateUser(ctx context.Context, u schemas.User) (string, error) {
	var p api.Password
	in := map[string]any{"name": u.Name, "display_name": u.DisplayName, "role": u.Role}
	err := c.call(ctx, http.MethodPost, "/users", of(u.TenantID), in, &p)
	return p.Password, err
}

// ResetPassword gives a user a one-time password.
func (c *Client) ResetPassword(ctx context.Context, tenant, name string) (string, error) {
	var p api.Password
	err := c.call(ctx, http.MethodPost, "/users/"+url.PathEscape(name)+"/password", of(tenant), nil, &p)
	return p.Password, err
}

// User returns a user.
func (c *Client) User(ctx context.Context, tenant, name string) (u api.UserView, err error) {
	return u, c.call(ctx, http.MethodGet, "/users/"+url.PathEscape(name), of(tenant), nil, &u)
}

// ChangeUser changes a user's display name and role.
func (c *Client) ChangeUser(ctx context.Context, tenant, name, displayName, role string) error {
	in := map[string]any{"display_name": displayName, "role": role}
	return c.call(ctx, http.MethodPut, "/users/"+url.PathEscape(name), of(tenant), in, nil)
}

// DisableUser keeps a user from signing in, and ends its sessions and tokens.
func (c *Client) DisableUser(ctx context.Context, tenant, name string) error {
	return c.call(ctx, http.MethodPost, "/users/"+url.PathEscape(name)+"/disable", of(tenant), nil, nil)
}

// EnableUser lets a disabled user sign in again.
func (c *Client) EnableUser(ctx context.Context, tenant, name string) error {
	return c.call(ctx, http.MethodPost, "/users/"+url.PathEscape(name)+"/enable", of(tenant), nil, nil)
}

// Sessions lists a tenant's sessions, the latest first.
func (c *Client) Sessions(ctx context.Context, tenant string) ([]api.SessionView, error) {
	var all api.Listing[api.SessionView]
	err := c.call(ctx, http.MethodGet, "/sessions", of(tenant), nil, &all)
	return all.Items, err
}

// EndSession ends a session.
func (c *Client) EndSession(ctx context.Context, tenant, id string) error {
	return c.call(ctx, http.MethodDelete, "/sessions/"+url.PathEscape(id), of(tenant), nil, nil)
}

// DeleteUser ends a user, its sessions and its tokens.
func (c *Client) DeleteUser(ctx context.Context, tenant, name string) error {
	return c.call(ctx, http.MethodDelete, "/users/"+url.PathEscape(name), of(tenant), nil, nil)
}

// Tokens lists a tenant's API tokens, the latest first.
func (c *Client) Tokens(ctx context.Context, tenant string) ([]api.TokenView, error) {
	var all api.Listing[api.TokenView]
	err := c.call(ctx, http.MethodGet, "/tokens", of(tenant), nil, &all)
	return all.Items, err
}

// RevokeToken ends an API token.
func (c *Client) RevokeToken(ctx context.Context, tenant, id string) error {
	return c.call(ctx, http.MethodDelete, "/tokens/"+url.PathEscape(id), of(tenant), nil, nil)
}

// CreateToken makes an API token.
func (c *Client) CreateToken(ctx context.Context, tenant, name, role string, expires schemas.Time) (t api.NewToken, err error) {
	in := map[string]any{"name": name, "role": role, "expires_at": expires}
	return t, c.call(ctx, http.MethodPost, "/tokens", of(tenant), in, &t)
}

// Exports lists a page of a tenant's exports, the latest first.
func (c *Client) Exports(ctx context.Context, tenant, state string, limit int, cursor string) (api.Listing[schemas.Export], error) {
	q := url.Values{"tenant": {tenant}, "limit": {strconv.Itoa(limit)}}
	if state != "" {
		q.Set("state", state)
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	var page api.Listing[schemas.Export]
	return page, c.call(ctx, http.MethodGet, "/exports", q, nil, &page)
}

// QueuesAmong returns those of some names that are queues of the tenant's interactions.
func (c *Client) QueuesAmong(ctx context.Context, tenant string, names []string) ([]string, error) {
	var found api.Listing[string]
	q := of(tenant)
	q["name"] = names
	err := c.call(ctx, http.MethodGet, "/queues", q, nil, &found)
	return found.Items, err
}

// Estimate returns what an export would hold.
func (c *Client) Estimate(ctx context.Context, tenant string, in api.ExportInput) (e schemas.Estimate, err error) {
	return e, c.call(ctx, http.MethodPost, "/estimates", of(tenant), in, &e)
}

// CreateExport asks for an export.
func (c *Client) CreateExport(ctx context.Context, tenant string, in api.ExportInput) (e schemas.Export, err error) {
	return e, c.call(ctx, http.MethodPost, "/exports", of(tenant), in, &e)
}
