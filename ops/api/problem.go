package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// problem is the HTTP answer an error amounts to. What is not the caller's to know is
// logged, and the answer says only that it failed.
func (a *API) problem(ctx context.Context, err error) error {
	var status huma.StatusError
	var invalid *schemas.InvalidError
	var conflict *admin.ConflictError
	var throttled *auth.ThrottledError
	var password *auth.PasswordError
	var quota *pipeline.QuotaError
	switch {
	case errors.As(err, &status):
		return err
	case errors.As(err, &invalid):
		details := make([]error, len(invalid.Problems))
		for n, p := range invalid.Problems {
			details[n] = &huma.ErrorDetail{Message: p}
		}
		return huma.Error422UnprocessableEntity("what was sent is not valid", details...)
	case errors.As(err, &password):
		return huma.Error422UnprocessableEntity(password.Reason)
	case errors.As(err, &conflict):
		return huma.Error409Conflict(conflict.Reason)
	case errors.Is(err, schemas.ErrChanged):
		return huma.Error412PreconditionFailed(schemas.ErrChanged.Error())
	case errors.As(err, &throttled):
		wait := strconv.Itoa(int(math.Ceil(throttled.After.Seconds())))
		return huma.ErrorWithHeaders(huma.Error429TooManyRequests(throttled.Error()), http.Header{"Retry-After": {wait}})
	case errors.As(err, &quota):
		policy, left := quotaHeaders(quota.QuotaUse)
		return huma.ErrorWithHeaders(huma.Error429TooManyRequests(quota.Reason), http.Header{
			"Retry-After": {strconv.Itoa(int(math.Ceil(quota.After.Seconds())))}, "RateLimit-Policy": policy, "RateLimit": left,
		})
	case errors.Is(err, auth.ErrCredentials):
		return huma.Error401Unauthorized(auth.Refusal(err))
	case errors.Is(err, auth.ErrSession):
		return huma.Error401Unauthorized(auth.ErrSession.Error())
	case errors.Is(err, auth.ErrMustChange):
		return huma.Error403Forbidden(auth.ErrMustChange.Error())
	case errors.Is(err, auth.ErrForbidden):
		return huma.Error403Forbidden(auth.ErrForbidden.Error())
	case errors.Is(err, admin.ErrTenant):
		return huma.Error400BadRequest(admin.ErrTenant.Error() + ", with ?tenant=")
	case errors.Is(err, admin.ErrNotFound), errors.Is(err, auth.ErrUnknown), errors.Is(err, bucket.ErrNotFound):
		return huma.Error404NotFound(admin.ErrNotFound.Error())
	case errors.Is(err, admin.ErrGone):
		return huma.Error410Gone(admin.ErrGone.Error())
	case errors.Is(err, ledger.ErrPage):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.Is(err, context.Canceled):
		return huma.NewError(499, "the request was given up")
	}
	a.Logger.ErrorContext(ctx, "a request failed", "error", err)
	if errors.Is(err, context.DeadlineExceeded) {
		return huma.Error504GatewayTimeout("a service behind this one did not answer in time; try again")
	}
	return huma.Error503ServiceUnavailable("a service behind this one failed; try again, and tell an operator if it goes on")
}

// withoutValues takes out of a problem what was sent.
func withoutValues(_ huma.Context, _ string, v any) (any, error) {
	if problem, ok := v.(*huma.ErrorModel); ok {
		for _, e := range problem.Errors {
			e.Value = nil
		}
	}
	return v, nil
}
