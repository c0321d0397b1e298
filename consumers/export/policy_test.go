package export_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cdds/consumers/export"
	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// planted is in every member that may hold personal data, and in nothing else.
const planted = "PLANTED"

// plantedRecords are interactions, some of one time, with personal data wherever a producer can
// put it: also in members that the schema does not have.
func plantedRecords(n int, media string) (all []schemas.Record[*schemas.Interaction]) {
	from := pipelinetest.Everything().Filter.From
	for i := range n {
		body := fmt.Sprintf(`{"interaction_id":"%[1]s-i%[2]d","tenant_id":%[3]q,"media_type":%[4]q,"started_at":%[5]q,"contact_id":"%[1]s-c%[6]d","agent_id":"%[1]s-a","thread_id":"%[1]s-t","parent_id":"%[1]s-i0","queue":"sales","subject":"%[1]s","text":"\u0050LANTED","notes":"%[1]s","te\u0078t_of_caller":"%[1]s","caller":{"name":"%[1]s","of":[{"%[1]s":1}]},"attributes":{"name":"%[1]s","postcode":"80331"},"attachments":[{"attachment_id":"%[1]s-1","name":"%[1]s.txt","content":"aGVsbG8=","by":"%[1]s"},{"attachment_id":"%[1]s-2","name":"%[1]s.wav","object":"%[3]s/%[1]s","size":5,"sha256":"%[7]s"}]}`,
			planted, i, pipelinetest.Tenant, media, schemas.TimeOf(from.Add(time.Duration(i/3)*time.Hour)), i%5, digest("hello"))
		e, err := schemas.DecodeInteraction([]byte(body))
		if err != nil {
			panic(err)
		}
		all = append(all, schemas.Record[*schemas.Interaction]{Event: e, Partition: 0, Offset: int64(i), Time: schemas.TimeOf(from.Add(time.Duration(i) * time.Second))})
	}
	return all
}

// received decrypts an export and returns its directory: what a receiver has of it.
func (s *scene) received(t *testing.T, id string) (dir string, m *schemas.Manifest) {
	t.Helper()
	sealed, dir := t.TempDir(), t.TempDir()
	for _, key := range s.artifacts(id) {
		b, err := s.store.GetBytes(t.Context(), key, 1<<30)
		check(t, err)
		check(t, os.WriteFile(filepath.Join(sealed, filepath.Base(key)), b, 0o600))
		if strings.Contains(key, schemas.ManifestName) {
			check(t, os.WriteFile(filepath.Join(dir, filepath.Base(key)), b, 0o600))
		}
	}
	both, _ := pair()
	_, err := receiver.Decrypt(t.Context(), sealed, both.Leaf, both.PrivateKey.(crypto.Decrypter), dir, receiver.Options{Signers: []*x509.Certificate{both.Leaf}})
	check(t, err)
	content, err := os.ReadFile(filepath.Join(sealed, schemas.ManifestName))
	check(t, err)
	m, err = schemas.DecodeManifest(content)
	check(t, err)
	return dir, m
}

// hits are the files of a directory whose name or content has the text.
func hits(t *testing.T, dir, text string) (all []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(path, text) || bytes.Contains(content, []byte(text)) || bytes.Contains(content, []byte(`\u0050LANTED`)) {
			all = append(all, filepath.Base(path))
		}
		return err
	}))
	return all
}

// rows are the lines of a directory's files of a kind.
func rows(t *testing.T, dir, kind string) (all []map[string]any) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, kind+"-*.jsonl"))
	check(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		check(t, err)
		for line := range bytes.Lines(content) {
			var row map[string]any
			check(t, json.Unmarshal(line, &row))
			all = append(all, row)
		}
	}
	return all
}

// runUnder has a worker do a run of a chain under a policy.
func (s *scene) runUnder(t *testing.T, w *export.Worker, id string, p *schemas.FieldPolicy, edit func(*schemas.ExportRequest)) schemas.Export {
	t.Helper()
	r := request(id)
	r.JobID, r.Chained, r.FieldPolicy = "nightly", true, p
	if edit != nil {
		edit(r)
	}
	check(t, s.handle(t.Context(), w, r))
	return schemas.Fold(s.statuses(id)...)
}

func TestNothingOfPlantedPersonalDataIsInAnExportThatHidesIt(t *testing.T) {
	for name, p := range map[string]*schemas.FieldPolicy{
		"the preset": {Preset: schemas.PresetPersonal},
		"rules, with attachments": {
			Pseudonym: []string{"/interaction_id", "/contact_id", "/agent_id", "/thread_id", "/parent_id", "/attachments/attachment_id"},
			LeaveOut:  []string{"/subject", "/text", "/notes", "/attributes/name", "/attachments/name", "/attachments/object"},
			Unknown:   schemas.UnknownLeaveOut,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(plantedRecords(60, "chat")...)
			w := s.worker(nil, nil)
			first := s.runUnder(t, w, "first", p, func(r *schemas.ExportRequest) {
				r.Contacts, r.Reason = []string{planted + "-c1", planted + "-c2"}, "case 7"
			})
			if first.State != schemas.Completed || first.Done.Rows != 24 {
				t.Fatalf("%s with %d rows, %+v", first.State, first.Done.Rows, first.Failure)
			}
			second := s.runUnder(t, w, "second", p, func(r *schemas.ExportRequest) { r.Contacts, r.Reason = []string{planted + "-c1"}, "case 7" })
			if second.State != schemas.Completed || second.Done.Removed != 12 {
				t.Fatalf("%s with %d removals, starting over: %q", second.State, second.Done.Removed, second.StartsOver)
			}
			for _, id := range []string{"first", "second"} {
				dir, m := s.received(t, id)
				if found := hits(t, dir, planted); len(found) > 0 {
					t.Errorf("%s: planted data is in %v", id, found)
				}
				if m.FieldPolicy == nil || m.FieldPolicy.KeyID == "" || m.Chain.FilterDigest != schemas.SelectionDigest(m.Filter, m.FieldPolicy, m.Names) {
					t.Errorf("%s: the manifest states %+v, %+v", id, m.FieldPolicy, m.Chain)
				}
				for _, part := range m.Parts {
					if part.StoredBytes != 0 {
						t.Errorf("%s: part %d shows how much was hidden", id, part.Number)
					}
				}
			}
			dir, m := s.received(t, "first")
			key, err := schemas.NewPseudonymKey(s.secret, pipelinetest.Tenant)
			check(t, err)
			lines := rows(t, dir, "interaction")
			if got := lines[0]["interaction_id"]; len(lines) != 24 || got != m.Parts[0].First.ID || got != key.Of(planted+"-i1") {
				t.Errorf("%d rows; the first is %v, that of the manifest %v", len(lines), got, m.Parts[0].First.ID)
			}
			shown := map[any]bool{}
			for _, line := range lines {
				shown[line["interaction_id"]] = true
				if line["contact_id"] != key.Of(planted+"-c1") && line["contact_id"] != key.Of(planted+"-c2") {
					t.Errorf("a row of contact %v", line["contact_id"])
				}
			}
			indexed := rows(t, dir, "attachments")
			if with := !p.LeavesOutFiles(schemas.EntityInteraction); with != (len(indexed) == 48) {
				t.Errorf("%d attachments", len(indexed))
			}
			for _, line := range indexed {
				if !shown[line["interaction_id"]] || line["attachment_id"] != key.Of(planted+"-1") && line["attachment_id"] != key.Of(planted+"-2") {
					t.Errorf("an attachment of no row: %v", line)
				}
				if problem := line["problem"]; problem != nil && problem != schemas.HiddenProblem {
					t.Errorf("a problem that may quote its event: %v", problem)
				}
			}
			removedDir, _ := s.received(t, "second")
			for _, line := range rows(t, removedDir, "removed") {
				if !shown[line["id"]] {
					t.Errorf("a removal of no row: %v", line)
				}
			}
		})
	}
}

func TestAChainUnderAnotherPolicyOrKeyStartsOver(t *testing.T) {
	s := newScene(plantedRecords(10, "chat")...)
	w := s.worker(nil, nil)
	hides := &schemas.FieldPolicy{Pseudonym: []string{"/contact_id"}}
	const policy = "another field policy"
	for n, step := range []struct {
		policy *schemas.FieldPolicy
		secret string
		over   string
	}{
		{nil, "s", ""}, {hides, "s", policy}, {&schemas.FieldPolicy{Pseudonym: []string{"/contact_id"}}, "s", ""},
		{hides, "t", "the pseudonyms of export run-2 were made with the key"}, {&schemas.FieldPolicy{LeaveOut: []string{"/text"}}, "t", policy},
		{&schemas.FieldPolicy{LeaveOut: []string{"/text"}}, "u", ""}, {nil, "u", policy},
	} {
		if s.secret[0] != step.secret[0] {
			s.secret = bytes.Repeat([]byte(step.secret), schemas.MinPseudonymKey)
			w = s.worker(nil, nil)
		}
		e := s.runUnder(t, w, fmt.Sprint("run-", n), step.policy, nil)
		if over := e.StartsOver != ""; e.State != schemas.Completed || over != (step.over != "") || !strings.Contains(e.StartsOver, step.over) || over && e.Done.Rows != 10 {
			t.Errorf("run %d is %s with %d rows and starts over: %q", n, e.State, e.Done.Rows, e.StartsOver)
		}
	}
	since := request("since")
	since.SinceExport, since.FieldPolicy = "run-6", hides
	check(t, s.handle(t.Context(), w, since))
	if e := schemas.Fold(s.statuses("since")...); e.State != schemas.Completed || e.Done.Rows != 10 || !strings.Contains(e.StartsOver, "another field policy") {
		t.Errorf("it is %s with %d rows and starts over: %q", e.State, e.Done.Rows, e.StartsOver)
	}
}

func TestAnExportWithPseudonymsIsRefusedWithoutAKey(t *testing.T) {
	s := newScene(plantedRecords(3, "chat")...)
	s.secret = nil
	w := s.worker(nil, nil)
	if e := s.runUnder(t, w, "keyless", &schemas.FieldPolicy{Preset: schemas.PresetPersonal}, nil); e.State != schemas.Refused || !strings.Contains(e.Reason, "no key") {
		t.Errorf("it is %s: %s", e.State, e.Reason)
	}
	if e := s.runUnder(t, w, "needs-none", &schemas.FieldPolicy{Preset: schemas.PresetFreeText}, nil); e.State != schemas.Completed {
		t.Errorf("it is %s: %s", e.State, e.Reason)
	}
}

func TestAnExportWhoseKeyIsLostFailsAndIsCompletedOnceItIsBack(t *testing.T) {
	s := newScene(plantedRecords(3, "chat")...)
	kept := s.secret
	r := request("kept")
	r.FieldPolicy = &schemas.FieldPolicy{Preset: schemas.PresetPersonal}
	check(t, s.worker(nil, nil).Handle(t.Context(), s.published(r)))
	for n, secret := range [][]byte{bytes.Repeat([]byte("t"), schemas.MinPseudonymKey), nil} {
		s.secret = secret
		w := s.worker(nil, nil)
		if n == 0 {
			check(t, w.Work(t.Context()))
		} else {
			check(t, s.handle(t.Context(), w, control(schemas.ActionRetry, "kept")))
		}
		e := schemas.Fold(s.statuses("kept")...)
		if e.State != schemas.Failed || e.Failure == nil || !strings.Contains(e.Failure.Reason, "key") || len(s.artifacts("kept")) > 0 {
			t.Fatalf("with the secret %q it is %s, %+v, and stored %v", secret, e.State, e.Failure, s.artifacts("kept"))
		}
	}
	s.secret = kept
	check(t, s.handle(t.Context(), s.worker(nil, nil), control(schemas.ActionRetry, "kept")))
	if e := schemas.Fold(s.statuses("kept")...); e.State != schemas.Completed {
		t.Errorf("it is %s, %+v", e.State, e.Failure)
	}
}

func TestPseudonymsThatOutgrowTheirRoomGetMore(t *testing.T) {
	body := fmt.Sprintf(`{"interaction_id":"i","tenant_id":%q,"media_type":"chat","started_at":%q,"numbers":[%s0]}`,
		pipelinetest.Tenant, pipelinetest.Everything().Filter.From, strings.Repeat("1,", 5000))
	e, err := schemas.DecodeInteraction([]byte(body))
	check(t, err)
	s := newScene(schemas.Record[*schemas.Interaction]{Event: e, Time: e.StartedAt})
	done := s.runUnder(t, s.worker(nil, nil), "grown", &schemas.FieldPolicy{Pseudonym: []string{"/numbers"}, Unknown: schemas.UnknownKeep}, nil)
	if done.State != schemas.Completed {
		t.Fatalf("it is %s, %+v", done.State, done.Failure)
	}
	dir, m := s.received(t, "grown")
	if numbers := rows(t, dir, "interaction")[0]["numbers"].([]any); len(numbers) != 5001 || m.Parts[0].Bytes < 5001*schemas.PseudonymBytes {
		t.Errorf("%d numbers in %d bytes", len(numbers), m.Parts[0].Bytes)
	}
}

func TestAPartUnderAPolicyIsAdoptedAndMadeTheSameAgain(t *testing.T) {
	sums := map[string]int{}
	for n := range 2 {
		var failing atomic.Bool
		var during atomic.Pointer[func()]
		s := newScene(plantedRecords(300, "chat")...)
		w := s.worker(nil, func(inner pipeline.Source) pipeline.Source { return broken{racing{inner, &during}, &failing} })
		if n == 0 { // after the first part that it stores
			happen := func() { failing.Store(true) }
			during.Store(&happen)
		}
		e := s.runUnder(t, w, "once", &schemas.FieldPolicy{Preset: schemas.PresetPersonal}, nil)
		if n == 0 {
			if e.State != schemas.Failed || e.Done.Parts != 1 {
				t.Fatalf("it is %s with %d parts", e.State, e.Done.Parts)
			}
			failing.Store(false)
			check(t, s.handle(t.Context(), w, control(schemas.ActionRetry, "once")))
		}
		_, m := s.received(t, "once")
		if len(m.Parts) < 2 {
			t.Fatalf("it has %d parts", len(m.Parts))
		}
		for _, part := range m.Parts {
			sums[part.ZipSHA256]++
		}
	}
	for sum, n := range sums {
		if n != 2 {
			t.Errorf("the zip %s was made %d times of 2", sum, n)
		}
	}
}
