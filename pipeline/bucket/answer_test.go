package bucket_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cdds/pipeline/answer"
	"cdds/pipeline/bucket"
)

// answering is a bucket of a store that gives the same answer to everything.
func answering(t *testing.T, status int, code string) *bucket.Bucket {
	t.Helper()
	return served(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		if r.URL.Query().Has("versioning") {
			_, _ = io.WriteString(w, "<VersioningConfiguration/>")
			return
		}
		w.WriteHeader(status)
		if code != "" && r.Method != http.MethodHead {
			_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>m</Message></Error>`, code)
		}
	})
}

// served is a bucket of a store that is a function.
func served(t *testing.T, store func(http.ResponseWriter, *http.Request)) *bucket.Bucket {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(store))
	t.Cleanup(server.Close)
	client, err := minio.New(strings.TrimPrefix(server.URL, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4("key", "secret", ""), Region: "us-east-1", MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return bucket.New(client, "bucket")
}

// What asking again can change is passing; the rest has an end at once.
func TestEveryAnswerOfTheStoreHasOneMeaning(t *testing.T) {
	const absent, impossible, refused, passing = "absent", "impossible", "refused", "passing"
	for _, c := range []struct {
		status int
		code   string
		want   string
	}{
		{404, "NoSuchKey", absent},
		{404, "NoSuchVersion", absent},
		{404, "", absent},
		{404, "NoSuchBucket", passing},
		{404, "XAdminUserNotFound", passing},

		{400, "KeyTooLongError", impossible},
		{400, "KeyTooLong", impossible},
		{400, "InvalidURI", impossible},

		{403, "AccessDenied", refused},
		{403, "", refused},
		{403, "InvalidObjectState", refused},
		{403, "AllAccessDisabled", passing},
		{403, "InvalidAccessKeyId", passing},
		{403, "SignatureDoesNotMatch", passing},
		{403, "RequestTimeTooSkewed", passing},
		{403, "RequestExpired", passing},
		{403, "InvalidToken", passing},
		{401, "SomethingElse", refused},
		{405, "MethodNotAllowed", refused},
		{410, "Gone", refused},
		{416, "InvalidRange", refused},
		{451, "", refused},
		{400, "InvalidArgument", refused},
		{400, "", refused},
		{400, "AuthorizationHeaderMalformed", passing},
		{400, "ExpiredToken", passing},
		{400, "TokenRefreshRequired", passing},
		{400, "RequestTimeout", passing},
		{400, "IncompleteBody", passing},
		{400, "BadDigest", passing},
		{400, "XAmzContentSHA256Mismatch", passing},
		{409, "OperationAborted", passing},
		{409, "ConditionalRequestConflict", passing},
		{408, "", passing},
		{425, "", passing},
		{429, "TooManyRequests", passing},
		{499, "", passing},

		{500, "InternalError", passing},
		{501, "NotImplemented", refused},
		{502, "", passing},
		{503, "SlowDown", passing},
		{503, "ServiceUnavailable", passing},
		{504, "", passing},
		{520, "", passing},
	} {
		b := answering(t, c.status, c.code)
		_, err := b.Open(t.Context(), "acme/k")
		var r *bucket.RefusedError
		got := passing
		switch {
		case err == nil:
			got = "none"
		case errors.Is(err, bucket.ErrNotFound):
			got = absent
		case errors.As(err, &r) && r.Impossible:
			got = impossible
		case errors.As(err, &r):
			got = refused
		}
		if got != c.want {
			t.Errorf("%d %s is %s (%v), want %s", c.status, c.code, got, err, c.want)
		}
		if r != nil && c.code != "" && !strings.Contains(r.Error(), fmt.Sprintf("%s (%d)", c.code, c.status)) {
			t.Errorf("%d %s reads %q", c.status, c.code, r)
		}
		// What cannot be there is removed; what may be there is not.
		if err := b.Remove(t.Context(), "acme/k"); (err == nil) != (c.want == absent || c.want == impossible) {
			t.Errorf("%d %s: removing says %v", c.status, c.code, err)
		}
	}
}

func TestNoAnswerAtAllIsPassing(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	client, err := minio.New(strings.TrimPrefix(away.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4("key", "secret", ""), Region: "us-east-1", MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	away.Close()
	_, err = bucket.New(client, "bucket").Open(t.Context(), "acme/k")
	var r *bucket.RefusedError
	if err == nil || errors.Is(err, bucket.ErrNotFound) || errors.As(err, &r) {
		t.Errorf("got %v", err)
	}
}

func TestAKeyThatTheStoreCannotHaveIsToldApart(t *testing.T) {
	b := open(t, "impossible")
	if err := b.PutBytes(t.Context(), "acme/x", []byte("x"), "text/plain"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"acme/" + strings.Repeat("k", 300), "acme/" + strings.Repeat("k/", 700), "acme/\xff"} {
		_, err := b.Open(t.Context(), key)
		var r *bucket.RefusedError
		if !errors.As(err, &r) || !r.Impossible {
			t.Errorf("%.40q: %v", key, err)
		}
	}
	r, err := b.Open(t.Context(), "acme/x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if content, err := io.ReadAll(r); err != nil || string(content) != "x" {
		t.Errorf("%q, %v", content, err)
	}
}

// A write that somebody else is at (409) is not one that is done (412): whoever takes the
// one for the other adopts an object that may never be there.
func TestAPutWaitsForAnotherWriterAndThenSeesWhatCameOfIt(t *testing.T) {
	for name, c := range map[string]struct {
		answers []int
		want    error
	}{
		"the other writer succeeds": {[]int{409, 409, 412}, bucket.ErrExists},
		"the other writer fails":    {[]int{409, 200}, nil},
		"taken long since":          {[]int{412}, bucket.ErrExists},
	} {
		var calls int
		var bodies []string
		b := served(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(body))
			status := c.answers[min(calls, len(c.answers)-1)]
			calls++
			w.Header().Set("ETag", `"e"`)
			w.WriteHeader(status)
			if status != http.StatusOK {
				_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code></Error>`, map[int]string{409: "ConditionalRequestConflict", 412: "PreconditionFailed"}[status])
			}
		})
		err := b.PutBytes(t.Context(), "acme/k", []byte("all of it"), "text/plain")
		if !errors.Is(err, c.want) || calls != len(c.answers) {
			t.Errorf("%s: %d puts, %v", name, calls, err)
		}
		for _, body := range bodies {
			if body != "all of it" {
				t.Errorf("%s: a try sent %q", name, body)
			}
		}
	}
}

func TestAWriteAtTheSameKeyThatNeverEndsIsAnErrorThatPasses(t *testing.T) {
	b := answering(t, 409, "ConditionalRequestConflict")
	err := b.PutBytes(t.Context(), "acme/k", []byte("x"), "text/plain")
	if err == nil || errors.Is(err, bucket.ErrExists) || answer.Of(err) != answer.Contended || answer.IsPermanent(err) {
		t.Errorf("it is %v, which means %d", err, answer.Of(err))
	}
}

// Some stores cannot remove many objects with one request, some let nobody, and one may remove
// some of them.
func TestWhatIsNotRemovedTogetherIsRemovedOneByOne(t *testing.T) {
	for name, together := range map[string]func(http.ResponseWriter){
		"not there": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotImplemented) },
		"some only": func(w http.ResponseWriter) {
			_, _ = fmt.Fprint(w, `<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>InternalError</Code></Error></DeleteResult>`)
		},
		"nothing said": func(w http.ResponseWriter) { _, _ = fmt.Fprint(w, `<DeleteResult></DeleteResult>`) },
	} {
		var alone []string
		b := served(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("versioning") {
				_, _ = io.WriteString(w, "<VersioningConfiguration/>")
				return
			}
			if r.Method == http.MethodPost {
				together(w)
				return
			}
			alone = append(alone, r.URL.Path)
			if strings.HasSuffix(r.URL.Path, "/refused") {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
		if err := b.RemoveAll(t.Context(), []string{"a", "b"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := map[bool]int{true: 1, false: 2}[name == "some only"]; len(alone) != want || alone[want-1] != "/bucket/b" {
			t.Errorf("%s: one by one were removed %v", name, alone)
		}
		var r *bucket.RefusedError
		if err := b.RemoveAll(t.Context(), []string{"a", "refused"}); !errors.As(err, &r) {
			t.Errorf("%s: what is refused says %v", name, err)
		}
	}
}
