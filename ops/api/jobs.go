package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/schemas"
)

// JobInput is what a job is made of, or changed to.
type JobInput struct {
	Title         string               `json:"title" minLength:"1" maxLength:"200"`
	Description   string               `json:"description,omitempty" maxLength:"4096"`
	Entity        string               `json:"entity" enum:"interaction,contact"`
	MediaTypes    []string             `json:"media_types,omitempty" maxItems:"16" doc:"Only these; all if not given."`
	Queues        []string             `json:"queues,omitempty" maxItems:"64"`
	Directions    []string             `json:"directions,omitempty" maxItems:"64"`
	Statuses      []string             `json:"statuses,omitempty" maxItems:"64"`
	Attributes    map[string]string    `json:"attributes,omitempty" maxProperties:"64"`
	Schedule      schemas.Schedule     `json:"schedule"`
	Timeframe     schemas.Timeframe    `json:"timeframe"`
	SplitSize     int64                `json:"split_size,omitempty"`
	Encoding      string               `json:"encoding,omitempty" enum:"smime,der"`
	Cipher        string               `json:"cipher,omitempty" enum:"aes-256-cbc,aes-256-gcm" doc:"aes-256-cbc, which every reader opens, if not given; aes-256-gcm is AuthEnvelopedData."`
	KeyTransport  string               `json:"key_transport,omitempty" enum:"rsa-pkcs1v15,rsa-oaep" doc:"rsa-pkcs1v15, which every reader opens, if not given."`
	Attachments   string               `json:"attachments,omitempty" enum:"included,none" doc:"included, as parts of their own with the contents, if not given."`
	Compression   string               `json:"compression,omitempty" enum:"standard,fast" doc:"fast: larger files, sooner."`
	FieldPolicy   *schemas.FieldPolicy `json:"field_policy,omitempty" doc:"What of each row the runs hide: members by JSON Pointer that are left out, cut short or become pseudonyms."`
	Names         string               `json:"names,omitempty" enum:"genesys" doc:"Whose field names each row has next to ours; none if not given."`
	Recipients    []string             `json:"recipients" minItems:"1" maxItems:"32" doc:"Fingerprints of registered certificates."`
	RetentionDays int                  `json:"retention_days,omitempty" minimum:"0" maximum:"3660"`
	Webhook       *schemas.Webhook     `json:"webhook,omitempty"`
	CatchUp       string               `json:"catch_up,omitempty" enum:"once,all,skip"`
	State         string               `json:"state,omitempty" enum:"active,suspended" doc:"active if not given."`
}

// JobInputOf is what a job is made of.
func JobInputOf(j schemas.Job) JobInput {
	return JobInput{
		Title: j.Title, Description: j.Description, Entity: j.Entity, MediaTypes: j.MediaTypes,
		Queues: j.Queues, Directions: j.Directions, Statuses: j.Statuses, Attributes: j.Attributes,
		Schedule: j.Schedule, Timeframe: j.Timeframe, SplitSize: j.SplitSize, Encoding: j.Encoding, Cipher: j.Cipher, KeyTransport: j.KeyTransport,
		Attachments: j.Attachments, Compression: j.Compression, FieldPolicy: j.FieldPolicy, Names: j.Names, Recipients: j.Recipients,
		RetentionDays: j.RetentionDays, Webhook: j.Webhook, CatchUp: j.CatchUp, State: j.State,
	}
}

func (i JobInput) job(id string) schemas.Job {
	return schemas.Job{
		JobID: id, Title: i.Title, Description: i.Description, Entity: i.Entity, MediaTypes: i.MediaTypes,
		Match:    schemas.Match{Queues: i.Queues, Directions: i.Directions, Statuses: i.Statuses, Attributes: i.Attributes},
		Schedule: i.Schedule, Timeframe: i.Timeframe, SplitSize: i.SplitSize, Encoding: i.Encoding, Cipher: i.Cipher, KeyTransport: i.KeyTransport,
		Attachments: i.Attachments, Compression: i.Compression, FieldPolicy: i.FieldPolicy, Names: i.Names, Recipients: i.Recipients,
		RetentionDays: i.RetentionDays, Webhook: i.Webhook, CatchUp: i.CatchUp, State: i.State,
	}
}

// JobPath names a job by its id.
type JobPath struct {
	Scope
	ID string `path:"id" maxLength:"128" doc:"The job's id."`
}

func (a *API) jobs() {
	tags := []string{"Jobs"}
	conflicts := []int{400, 401, 403, 404, 409, 412, 422, 429}
	register(a, huma.Operation{
		OperationID: "list-jobs", Method: http.MethodGet, Path: "/jobs", Tags: tags, Summary: "List jobs",
	}, func(ctx context.Context, in *struct{ Scope }) (*answer[Listing[schemas.Job]], error) {
		list, err := on(ctx, a, in.Scope, func(h *admin.Handle) ([]schemas.Job, error) { return h.Jobs(ctx) })
		return give(all(list, same), err)
	})
	register(a, huma.Operation{
		OperationID: "create-job", Method: http.MethodPost, Path: "/jobs", Tags: tags, Summary: "Make a job", DefaultStatus: http.StatusCreated, Errors: conflicts,
	}, func(ctx context.Context, in *struct {
		Scope
		Body struct {
			ID string `json:"job_id,omitempty" maxLength:"64" doc:"A new one if not given."`
			JobInput
		}
	}) (*answer[schemas.Job], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Job, error) { return h.SaveJob(ctx, in.Body.job(in.Body.ID), 0) }))
	})
	register(a, huma.Operation{
		OperationID: "show-job", Method: http.MethodGet, Path: "/jobs/{id}", Tags: tags, Summary: "Show a job",
	}, func(ctx context.Context, in *struct {
		JobPath
		IfNoneMatch
	}) (*revised[schemas.Job], error) {
		j, err := on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Job, error) { return h.Job(ctx, in.ID) })
		return read(in.IfNoneMatch, j, err)
	})
	register(a, huma.Operation{
		OperationID: "change-job", Method: http.MethodPut, Path: "/jobs/{id}", Tags: tags, Summary: "Change a job", Errors: conflicts,
		Description: "revision, or If-Match, is the one the job was read in; if it was changed meanwhile the answer is 412.",
	}, func(ctx context.Context, in *struct {
		JobPath
		IfMatch
		Body struct {
			Revision int `json:"revision,omitempty" minimum:"1" doc:"Needed without If-Match."`
			JobInput
		}
	}) (*revised[schemas.Job], error) {
		j, err := on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Job, error) {
			revision := in.Body.Revision
			if revision == 0 && in.IfMatch.IfMatch == "" {
				return schemas.Job{}, &schemas.InvalidError{Problems: []string{"revision: is missing; give it, or If-Match"}}
			}
			h = in.of(h)
			if revision == 0 {
				current, err := h.Job(ctx, in.ID)
				if err != nil {
					return current, err
				}
				revision = current.Revision
			}
			return h.SaveJob(ctx, in.Body.job(in.ID), revision)
		})
		return read(IfNoneMatch{}, j, err)
	})
	for _, change := range []struct{ id, method, path, summary, state string }{
		{"suspend-job", http.MethodPost, "/jobs/{id}/suspend", "Suspend a job", schemas.JobSuspended},
		{"resume-job", http.MethodPost, "/jobs/{id}/resume", "Have a suspended job run again", schemas.JobActive},
		{"delete-job", http.MethodDelete, "/jobs/{id}", "End a job; the exports it made stay", schemas.JobDeleted},
	} {
		register(a, huma.Operation{
			OperationID: change.id, Method: change.method, Path: change.path, Tags: tags, Summary: change.summary, DefaultStatus: http.StatusOK, Errors: conflicts,
		}, func(ctx context.Context, in *struct {
			JobPath
			IfMatch
		}) (*revised[schemas.Job], error) {
			j, err := on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Job, error) { return in.of(h).SetJobState(ctx, in.ID, change.state) })
			return read(IfNoneMatch{}, j, err)
		})
	}
	register(a, huma.Operation{
		OperationID: "run-job", Method: http.MethodPost, Path: "/jobs/{id}/run", Tags: tags, Summary: "Run a job now, whatever its schedule", DefaultStatus: http.StatusAccepted, Errors: conflicts,
	}, func(ctx context.Context, in *JobPath) (*accepted, error) {
		return requested(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Export, error) { return h.RunJob(ctx, in.ID) })
	})
	register(a, huma.Operation{
		OperationID: "job-chain", Method: http.MethodGet, Path: "/jobs/{id}/chain", Tags: tags, Summary: "List the runs of a job's chain after a number",
		Description: "Of a job that exports what came since its last run. A receiver that applies all runs in order has what one whole export would hold. With wait the answer comes when there is a run, or when that time is over.",
	}, func(ctx context.Context, in *struct {
		JobPath
		After int `query:"after" minimum:"0" default:"0" doc:"The number of the last run that was applied."`
		Wait  int `query:"wait" minimum:"0" maximum:"50" default:"0" doc:"How many seconds to wait for a run."`
	}) (*answer[schemas.ChainRuns], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.ChainRuns, error) {
			return h.Chain(ctx, in.ID, in.After, time.Duration(in.Wait)*time.Second)
		}))
	})
	register(a, huma.Operation{
		OperationID: "acknowledge-chain", Method: http.MethodPost, Path: "/jobs/{id}/chain/acknowledge", Tags: tags, Summary: "Record how far a receiver is", DefaultStatus: http.StatusNoContent, Errors: conflicts,
	}, func(ctx context.Context, in *struct {
		JobPath
		Body struct {
			Number   int    `json:"number" minimum:"1"`
			ExportID string `json:"export_id" maxLength:"128"`
		}
	}) (*struct{}, error) {
		_, err := on(ctx, a, in.Scope, func(h *admin.Handle) (struct{}, error) {
			return struct{}{}, h.AcknowledgeChain(ctx, in.ID, in.Body.Number, in.Body.ExportID)
		})
		return nil, err
	})
	register(a, huma.Operation{
		OperationID: "restart-chain", Method: http.MethodPost, Path: "/jobs/{id}/restart-chain", Tags: tags, Summary: "Have the next run hold everything", DefaultStatus: http.StatusOK, Errors: conflicts,
		Description: "For a receiver that is new, or so far behind that runs it needs are gone.",
	}, func(ctx context.Context, in *JobPath) (*answer[schemas.Job], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Job, error) { return h.RestartChain(ctx, in.ID) }))
	})
	register(a, huma.Operation{
		OperationID: "next-runs", Method: http.MethodGet, Path: "/jobs/{id}/next", Tags: tags, Summary: "List when a job is due next",
	}, func(ctx context.Context, in *struct {
		JobPath
		N int `query:"n" minimum:"1" maximum:"100" default:"5"`
	}) (*answer[Listing[schemas.Time]], error) {
		times, err := on(ctx, a, in.Scope, func(h *admin.Handle) ([]schemas.Time, error) { return h.NextRuns(ctx, in.ID, in.N) })
		return give(all(times, same), err)
	})
}
