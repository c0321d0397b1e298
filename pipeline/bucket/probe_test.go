package bucket_test

import (
	"crypto/md5"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"cdds/pipeline/bucket"
)

const month = 30 * 24 * time.Hour

// faultyStore is a small S3 with switches for what stores do wrong.
type faultyStore struct {
	mu      sync.Mutex
	objects map[string][]byte
	meta    map[string]string

	lookers atomic.Int32
	looked  chan struct{}

	overwrites bool          // ignores If-None-Match
	lateCheck  bool          // checks the condition, and writes much later
	always409  bool          // answers 409 where S3 answers 412
	skew       time.Duration // of its clock
	noMeta     bool
	stale      bool // listings see nothing yet
	keeps      bool // removes nothing
	changes    bool // gives other content than it took
	denied     string
	lifecycle  string // XML of rules; empty: not implemented

	versioned bool   // keeps versions, one of each object
	keepsOld  bool   // keeps a version of what is removed
	lock      string // XML of its Object Lock; empty: none
	frail     bool   // removes what is under a legal hold
	held      bool
}

func (s *faultyStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.URL.Path, "/bucket/")
	body, _ := io.ReadAll(r.Body)
	refuse := func(status int, code string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
	}
	query := r.URL.Query()
	verb := r.Method
	switch {
	case query.Has("lifecycle"):
		verb = "LIFECYCLE"
	case query.Has("list-type"):
		verb = "LIST"
	case query.Has("tagging"):
		verb = "TAG"
	case query.Has("versioning"):
		status := ""
		if s.versioned {
			status = "<Status>Enabled</Status>"
		}
		_, _ = fmt.Fprintf(w, "<VersioningConfiguration>%s</VersioningConfiguration>", status)
		return
	case query.Has("versions"):
		verb = "VERSIONS"
	case query.Has("object-lock"):
		verb = "LOCK"
	case query.Has("legal-hold"):
		verb = "LEGAL"
	case query.Get("versionId") != "" && verb == http.MethodDelete:
		verb = "DELETEVERSION"
	}
	s.mu.Lock()
	content, there := s.objects[key]
	s.mu.Unlock()
	switch {
	case s.denied == verb, s.denied == "LIST" && verb == "GET" && !there:
		refuse(http.StatusForbidden, "AccessDenied")
		return
	case s.denied == "SKEW":
		refuse(http.StatusForbidden, "RequestTimeTooSkewed")
		return
	case s.denied == "DOWN":
		refuse(http.StatusServiceUnavailable, "SlowDown")
		return
	}
	if verb == "DELETEVERSION" {
		if verb = http.MethodDelete; s.held && !s.frail {
			refuse(http.StatusForbidden, "AccessDenied")
			return
		}
	}
	switch verb {
	case "VERSIONS":
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = io.WriteString(w, "<ListVersionsResult>")
		for k := range s.objects {
			if strings.HasPrefix(k, query.Get("prefix")) {
				_, _ = fmt.Fprintf(w, "<Version><Key>%s</Key><VersionId>v</VersionId><IsLatest>true</IsLatest></Version>", k)
			}
		}
		if s.keepsOld {
			_, _ = fmt.Fprintf(w, "<Version><Key>%s</Key><VersionId>old</VersionId></Version>", query.Get("prefix"))
		}
		_, _ = io.WriteString(w, "</ListVersionsResult>")
	case "LOCK":
		if s.lock == "" {
			refuse(http.StatusNotFound, "ObjectLockConfigurationNotFoundError")
			return
		}
		_, _ = fmt.Fprintf(w, "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>%s</ObjectLockConfiguration>", s.lock)
	case "LEGAL":
		if r.Method == http.MethodPut {
			s.held = strings.Contains(string(body), "ON")
			return
		}
		_, _ = fmt.Fprintf(w, "<LegalHold><Status>%s</Status></LegalHold>", map[bool]string{true: "ON", false: "OFF"}[s.held])
	case "TAG":
		_, _ = io.WriteString(w, "<Tagging><TagSet></TagSet></Tagging>")
	case "LIFECYCLE":
		if s.lifecycle == "" {
			refuse(http.StatusNotImplemented, "NotImplemented")
			return
		}
		_, _ = fmt.Fprintf(w, "<LifecycleConfiguration>%s</LifecycleConfiguration>", s.lifecycle)
	case "LIST":
		type found struct {
			Key          string
			Size         int
			LastModified string
		}
		var answer struct {
			XMLName     xml.Name `xml:"ListBucketResult"`
			IsTruncated bool
			Contents    []found
		}
		s.mu.Lock()
		for k, c := range s.objects {
			if strings.HasPrefix(k, query.Get("prefix")) && !s.stale {
				answer.Contents = append(answer.Contents, found{k, len(c), time.Now().UTC().Format(time.RFC3339)})
			}
		}
		s.mu.Unlock()
		sort.Slice(answer.Contents, func(i, j int) bool { return answer.Contents[i].Key < answer.Contents[j].Key })
		_ = xml.NewEncoder(w).Encode(answer)
	case http.MethodPut:
		if there && s.always409 {
			refuse(http.StatusConflict, "ConditionalRequestConflict")
			return
		}
		if s.lateCheck && !there && strings.HasSuffix(key, "/raced") {
			if s.lookers.Add(1) == 2 {
				close(s.looked)
			}
			<-s.looked // two look before one writes
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.lateCheck {
			_, there = s.objects[key]
		}
		if r.Header.Get("If-None-Match") != "*" {
			refuse(http.StatusBadRequest, "InvalidArgument")
			return
		}
		if there && !s.overwrites {
			refuse(http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		s.objects[key], s.meta[key] = body, r.Header.Get("X-Amz-Meta-Probe")
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(body)))
	case http.MethodGet, http.MethodHead:
		if !there {
			refuse(http.StatusNotFound, "NoSuchKey")
			return
		}
		if s.changes {
			content = []byte(strings.ToUpper(string(content)))
		}
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(content)))
		w.Header().Set("Last-Modified", time.Now().Add(s.skew).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if !s.noMeta {
			w.Header().Set("X-Amz-Meta-Probe", s.meta[key])
		}
		if r.Method == http.MethodGet {
			_, _ = w.Write(content)
		}
	case http.MethodDelete:
		if !s.keeps && (!s.held || s.frail) { // else it leaves a delete marker
			s.mu.Lock()
			delete(s.objects, key)
			s.mu.Unlock()
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func TestAStoreThatCannotKeepThePromiseIsRefusedWithTheReason(t *testing.T) {
	rule := func(filter string, days int) string {
		return fmt.Sprintf("<Rule><ID>r</ID><Status>Enabled</Status><Filter>%s</Filter><Expiration><Days>%d</Days></Expiration></Rule>", filter, days)
	}
	const artifacts = "<Tag><Key>cdds</Key><Value>artifact</Value></Tag>"
	for name, c := range map[string]struct {
		store *faultyStore
		want  string
	}{
		"it overwrites":                       {&faultyStore{overwrites: true}, "it ignores If-None-Match: * on PUT"},
		"it looks first and writes later":     {&faultyStore{lateCheck: true}, "its conditional writes are not atomic"},
		"its clock is ahead":                  {&faultyStore{skew: time.Hour}, "its clock is "},
		"its clock is behind":                 {&faultyStore{skew: -10 * time.Minute}, "its clock is -"},
		"its clock refuses requests":          {&faultyStore{denied: "SKEW"}, "its clock or ours is wrong (RequestTimeTooSkewed)"},
		"it drops metadata":                   {&faultyStore{noMeta: true}, "it does not keep the metadata"},
		"its listings are late":               {&faultyStore{stale: true}, "a listing has 0 of the 2 objects"},
		"it removes nothing":                  {&faultyStore{keeps: true}, "an object that was removed is still there"},
		"it changes content":                  {&faultyStore{changes: true}, "an object does not read back as it was written"},
		"writing is not allowed":              {&faultyStore{denied: "PUT"}, "allow s3:PutObject"},
		"reading is not allowed":              {&faultyStore{denied: "GET"}, "allow s3:GetObject"},
		"listing is not allowed":              {&faultyStore{denied: "LIST"}, "allow s3:GetObject and s3:ListBucket"},
		"tagging is not allowed":              {&faultyStore{denied: "TAG"}, "allow s3:PutObjectTagging, or its lifecycle rule removes files that a hold keeps"},
		"removing is not allowed":             {&faultyStore{denied: "DELETE"}, "allow s3:DeleteObject"},
		"rules are not shown":                 {&faultyStore{denied: "LIFECYCLE"}, "allow s3:GetLifecycleConfiguration"},
		"a rule removes everything":           {&faultyStore{lifecycle: rule("<Prefix></Prefix>", 365)}, `its lifecycle rule "r" removes or archives by age what decides exports`},
		"a rule removes a tenant's":           {&faultyStore{lifecycle: rule("<Prefix>acme/</Prefix>", 365)}, "what decides exports"},
		"a rule archives everything":          {&faultyStore{lifecycle: "<Rule><ID>r</ID><Status>Enabled</Status><Transition><Days>9</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>"}, "what decides exports"},
		"a rule removes artifacts too early":  {&faultyStore{lifecycle: rule(artifacts, 29)}, "takes artifacts away before their 720h0m0s are over"},
		"409 means that an object is there":   {&faultyStore{always409: true}, "it answers 409 to a PUT"},
		"versions are not listed":             {&faultyStore{versioned: true, denied: "VERSIONS"}, "allow s3:DeleteObject, and s3:ListBucketVersions and s3:DeleteObjectVersion"},
		"versions are not removed":            {&faultyStore{versioned: true, denied: "DELETEVERSION"}, "allow s3:DeleteObject, and s3:ListBucketVersions and s3:DeleteObjectVersion"},
		"a version stays":                     {&faultyStore{versioned: true, keepsOld: true}, "a version of an object that was removed is still there"},
		"it does not say whether it locks":    {&faultyStore{versioned: true, denied: "LOCK"}, "allow s3:GetBucketObjectLockConfiguration"},
		"legal holds are not allowed":         {&faultyStore{versioned: true, lock: " ", denied: "LEGAL"}, "lets us put no legal hold on objects"},
		"a legal hold does not hold":          {&faultyStore{versioned: true, lock: " ", frail: true}, "it removes what is under a legal hold"},
		"it keeps everything for a time":      {&faultyStore{versioned: true, lock: "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>90</Days></DefaultRetention></Rule>"}, "its Object Lock keeps every new object for 90 days (GOVERNANCE)"},
		"several things are wrong, all named": {&faultyStore{noMeta: true, denied: "DELETE"}, "metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.store.objects, c.store.meta, c.store.looked = map[string][]byte{}, map[string]string{}, make(chan struct{})
			err := served(t, c.store.ServeHTTP).Probe(t.Context(), "_cdds/probe/", month, time.Now)
			var unfit *bucket.UnfitError
			if !errors.As(err, &unfit) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if strings.Contains(name, "several") && len(unfit.Problems) != 2 {
				t.Errorf("the problems are %q", unfit.Problems)
			}
		})
	}
	t.Run("but not for what is as it must be", func(t *testing.T) {
		store := faultyStore{objects: map[string][]byte{}, meta: map[string]string{}, lifecycle: rule(artifacts, 37) + "<Rule><ID>off</ID><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>"}
		if err := served(t, store.ServeHTTP).Probe(t.Context(), "_cdds/probe/", month, time.Now); err != nil || len(store.objects) != 0 {
			t.Errorf("%v, and %d objects stay", err, len(store.objects))
		}
	})
	t.Run("nor for keeping versions, with Object Lock or without", func(t *testing.T) {
		for _, lock := range []string{"", " "} {
			store := faultyStore{objects: map[string][]byte{}, meta: map[string]string{}, versioned: true, lock: lock}
			if err := served(t, store.ServeHTTP).Probe(t.Context(), "_cdds/probe/", month, time.Now); err != nil || len(store.objects) != 0 || store.held {
				t.Errorf("%v, and %d objects stay", err, len(store.objects))
			}
		}
	})
	t.Run("nor for being down", func(t *testing.T) {
		store := faultyStore{denied: "DOWN"}
		err := served(t, store.ServeHTTP).Probe(t.Context(), "_cdds/probe/", month, time.Now)
		var unfit *bucket.UnfitError
		if err == nil || errors.As(err, &unfit) {
			t.Errorf("got %v", err)
		}
	})
	for denied, wanted := range map[string]string{"LIST": "allow s3:GetObject and s3:ListBucket", "DELETE": "allow s3:DeleteObject",
		"VERSIONS": "allow s3:ListBucketVersions and s3:DeleteObjectVersion", "DELETEVERSION": "allow s3:ListBucketVersions and s3:DeleteObjectVersion"} {
		t.Run("a bucket of attachments without "+denied, func(t *testing.T) {
			store := faultyStore{denied: denied, versioned: strings.Contains(denied, "VERSION"), objects: map[string][]byte{}, meta: map[string]string{}}
			err := served(t, store.ServeHTTP).ProbeAttachments(t.Context(), "_cdds/probe/")
			if err == nil || !strings.Contains(err.Error(), wanted) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheStoreOfTheStackIsFit(t *testing.T) {
	b := open(t, "fit")
	for range 2 {
		if err := errors.Join(b.Probe(t.Context(), "_cdds/probe/", month, time.Now), b.ProbeAttachments(t.Context(), "_cdds/probe/")); err != nil {
			t.Error(err)
		}
	}
	if all, err := b.List(t.Context(), ""); err != nil || len(all) != 0 {
		t.Errorf("a probe left %v, %v", all, err)
	}
}

func TestABucketThatKeepsVersionsIsFitWithObjectLockAndWithout(t *testing.T) {
	client := stackClient(t)
	plain := open(t, "fit-versions")
	check(t, client.EnableVersioning(t.Context(), "fit-versions"))
	for name, b := range map[string]*bucket.Bucket{"fit-versions": plain, "fit-locks": locked(t, "fit-locks")} {
		for range 2 {
			if err := errors.Join(b.Probe(t.Context(), "_cdds/probe/", month, time.Now), b.ProbeAttachments(t.Context(), "_cdds/probe/")); err != nil {
				t.Error(err)
			}
		}
		if all := versionsIn(t, client, name); len(all) != 0 {
			t.Errorf("a probe left versions of %q", all)
		}
		if versions, locks, err := b.Guards(t.Context()); err != nil || !versions || locks != (name == "fit-locks") {
			t.Errorf("%s has versions: %t, locks: %t, %v", name, versions, locks, err)
		}
	}
	mode, days, unit := minio.Governance, uint(90), minio.Days
	check(t, client.SetBucketObjectLockConfig(t.Context(), "fit-locks", &mode, &days, &unit))
	var unfit *bucket.UnfitError
	err := bucket.New(client, "fit-locks").Probe(t.Context(), "_cdds/probe/", month, time.Now)
	if !errors.As(err, &unfit) || len(unfit.Problems) != 1 || !strings.Contains(err.Error(), "for 90 days (GOVERNANCE)") {
		t.Errorf("a bucket that keeps everything for 90 days: %v", err)
	}
	if all := versionsIn(t, client, "fit-locks"); len(all) != 0 {
		t.Errorf("the probe left %q, which stays for 90 days", all)
	}
}

// TestTheRuleRemovesOlderVersionsToo where the store has lifecycles.
func TestTheRuleRemovesOlderVersionsToo(t *testing.T) {
	client, b := stackClient(t), open(t, "rule")
	if err := b.ExpireAfter(t.Context(), month); errors.Is(err, bucket.ErrNoLifecycle) {
		t.Skip("the embedded store has no lifecycle; make test-real")
	}
	check(t, client.EnableVersioning(t.Context(), "rule"))
	for range 2 {
		check(t, bucket.New(client, "rule").ExpireAfter(t.Context(), month))
	}
	is, err := client.GetBucketLifecycle(t.Context(), "rule")
	check(t, err)
	if len(is.Rules) != 2 || is.Rules[0].NoncurrentVersionExpiration.NoncurrentDays != 1 || !is.Rules[1].Expiration.DeleteMarker.IsEnabled() {
		t.Errorf("its rules are %+v", is.Rules)
	}
	check(t, bucket.New(client, "rule").Probe(t.Context(), "_cdds/probe/", month, time.Now))
}
