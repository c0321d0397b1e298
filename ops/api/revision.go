package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/schemas"
)

// revised is a response with the revision of what it holds.
type revised[T any] struct {
	ETag string `header:"ETag" doc:"The revision, for If-Match."`
	Body T
}

// IfMatch makes a change conditional.
type IfMatch struct {
	IfMatch string `header:"If-Match" maxLength:"256" doc:"The ETag that was read; if it was changed meanwhile the answer is 412."`
}

// of is the handle that changes only what the header allows.
func (m IfMatch) of(h *admin.Handle) *admin.Handle {
	given := strings.TrimSpace(m.IfMatch)
	if given == "" || given == "*" {
		return h
	}
	revisions := schemas.Revisions{} // of tags that are none of ours, nothing may be changed
	for tag := range strings.SplitSeq(given, ",") {
		text, err := strconv.Unquote(strings.TrimSpace(tag)) // a weak one begins with W/
		if revision, bad := strconv.ParseInt(text, 10, 64); err == nil && bad == nil {
			revisions = append(revisions, revision)
		}
	}
	return h.IfRevision(revisions)
}

// IfNoneMatch makes a read conditional.
type IfNoneMatch struct {
	IfNoneMatch string `header:"If-None-Match" maxLength:"256" doc:"ETags that were read; if it is still one of them the answer is 304."`
}

// read is the answer to who may have it already.
func read[T any, V interface {
	*T
	schemas.Versioned
}](m IfNoneMatch, v T, err error) (*revised[T], error) {
	return readAt(m, v, V(&v).Version(), err)
}

// readAt is read of what does not hold its own revision.
func readAt[T any](m IfNoneMatch, v T, revision int64, err error) (*revised[T], error) {
	if err != nil {
		return nil, err
	}
	tag := strconv.Quote(strconv.FormatInt(revision, 10))
	for known := range strings.SplitSeq(m.IfNoneMatch, ",") {
		if known = strings.TrimSpace(known); known == "*" || strings.TrimPrefix(known, "W/") == tag {
			return nil, huma.ErrorWithHeaders(huma.Status304NotModified(), http.Header{"Etag": {tag}})
		}
	}
	return &revised[T]{tag, v}, nil
}
