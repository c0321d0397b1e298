package cli_test

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cdds/ops/console"
	"cdds/schemas"
)

func TestTheCommandLineActsThroughAServerWithNothingButAToken(t *testing.T) {
	dir, work := filepath.Join(t.TempDir(), "data"), t.TempDir()
	_, server := upAt(t, dir)
	writeSample(t, work+"/in.jsonl", 300)
	cdds(t, "--data-dir", dir, "import", "interactions", work+"/in.jsonl")
	cdds(t, "keygen", "--out-cert", work+"/cert.pem", "--out-key", work+"/key.pem")
	token := func(role string) string {
		t.Helper()
		var made struct{ Secret string }
		out := cdds(t, "--data-dir", dir, "token", "create", "--tenant", "acme", "--role", role, "--name", role, "--json")
		if err := json.Unmarshal(out, &made); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(work, role)
		if err := os.WriteFile(file, []byte(made.Secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	// Elsewhere: no data directory, no services, only a URL and a token.
	remote := func(file string, args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd := command(t, append(args, "--server", server, "--token-file", file, "--data-dir", work+"/none")...)
		var stderr bytes.Buffer
		cmd.Dir, cmd.Stderr = work, &stderr
		return cmd, &stderr
	}
	must := func(file string, args ...string) []byte {
		t.Helper()
		cmd, stderr := remote(file, args...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("cdds %s: %v: %s", strings.Join(args, " "), err, stderr)
		}
		return out
	}
	admin, viewer := token("administrator"), token("viewer")

	var e schemas.Export
	out := must(admin, "export", "create", "--tenant", "acme", "--id", "far", "--from", "2020-01-01", "--to", "2030-01-01", "--recipient", work+"/cert.pem", "--wait", "--json")
	if err := json.Unmarshal(out, &e); err != nil || e.State != schemas.Completed || e.Done.Rows == 0 {
		t.Fatalf("create said %v %s", err, out)
	}
	if out := must(viewer, "export", "list", "--tenant", "acme"); !strings.Contains(string(out), "far") {
		t.Errorf("list said %s", out)
	}
	must(viewer, "export", "show", "far", "--tenant", "acme")
	must(viewer, "export", "download", "far", "--tenant", "acme", "--out", work+"/far")
	cdds(t, "verify", work+"/far", "--signer", dir+"/service/cert.pem")

	into := func(v any, file string, args ...string) {
		t.Helper()
		out := must(file, append(args, "--tenant", "acme", "--json")...)
		reflect.ValueOf(v).Elem().SetZero()
		if err := json.Unmarshal(out, v); err != nil {
			t.Fatalf("cdds %s said %v %s", strings.Join(args, " "), err, out)
		}
	}
	var cert, replaced schemas.Certificate
	into(&cert, admin, "certificate", "add", work+"/cert.pem", "--name", "first")
	must(viewer, "certificate", "sample", cert.Fingerprint, "--tenant", "acme", "--out", work+"/sample.p7m", "--cipher", "aes-256-gcm", "--key-transport", "rsa-oaep")
	if openssl, err := exec.LookPath("openssl"); err == nil {
		plain, err := exec.Command(openssl, "cms", "-decrypt", "-in", work+"/sample.p7m", "-recip", work+"/cert.pem", "-inkey", work+"/key.pem").Output()
		if err != nil || !strings.Contains(string(plain), "It works") {
			t.Errorf("the sample opens as %q, %v", plain, err)
		}
	}
	var job schemas.Job
	into(&job, admin, "job", "create", "--id", "nightly", "--title", "Nightly", "--all", "--daily", "--at", "02:30", "--recipient", work+"/cert.pem",
		"--attachments", "none", "--compression", "fast", "--cipher", "aes-256-gcm", "--webhook", "https://hooks.example.com/cdds")
	if job.Attachments != schemas.AttachmentsNone || job.Compression != schemas.CompressionFast || job.Cipher != schemas.CipherGCM || job.Revision != 1 {
		t.Errorf("job create made %+v", job)
	}
	into(&job, admin, "job", "change", "nightly", "--title", "Every night", "--key-transport", "rsa-oaep", "--new-webhook-secret")
	if job.Title != "Every night" || job.Schedule.At != "02:30" || job.Cipher != schemas.CipherGCM || job.KeyTransport != schemas.KeyTransportOAEP || job.Webhook.SecretVersion != 2 || job.Revision != 2 {
		t.Errorf("job change made %+v", job)
	}
	var told struct{ Secret string }
	into(&told, admin, "job", "secret", "nightly")
	if here := cdds(t, "--data-dir", dir, "job", "secret", "nightly", "--tenant", "acme"); told.Secret == "" || told.Secret != strings.TrimSpace(string(here)) {
		t.Error("the server tells another webhook secret than the services")
	}
	into(&job, admin, "job", "clone", "nightly", "--id", "weekly", "--weekly", "monday", "--webhook", "")
	if job.JobID != "weekly" || job.Schedule.Run != schemas.RunWeekly || job.Title != "Copy of Every night" || job.Webhook != nil {
		t.Errorf("job clone made %+v", job)
	}
	for _, verb := range []string{"suspend", "resume", "delete"} {
		into(&job, admin, "job", verb, "weekly")
		if want := map[string]string{"suspend": schemas.JobSuspended, "resume": schemas.JobActive, "delete": schemas.JobDeleted}[verb]; job.State != want {
			t.Errorf("after %s the job is %s", verb, job.State)
		}
	}
	if out := must(viewer, "job", "list", "--tenant", "acme"); !strings.Contains(string(out), "nightly") || strings.Contains(string(out), "weekly") {
		t.Errorf("job list said %s", out)
	}
	into(&e, admin, "job", "run", "nightly", "--wait")
	if e.State != schemas.Completed || e.Request.JobID != "nightly" || e.Request.Cipher != schemas.CipherGCM || e.Request.Attachments != schemas.AttachmentsNone {
		t.Errorf("job run made %+v", e)
	}
	must(viewer, "export", "download", e.ExportID, "--tenant", "acme", "--out", work+"/run")
	cdds(t, "decrypt", work+"/run", "--signer", dir+"/service/cert.pem", "--cert", work+"/cert.pem", "--key", work+"/key.pem", "--out", work+"/plain")
	if out := must(viewer, "job", "show", "nightly", "--tenant", "acme"); !strings.Contains(string(out), e.ExportID) {
		t.Errorf("job show said %s", out)
	}
	cdds(t, "keygen", "--out-cert", work+"/next.pem", "--out-key", work+"/next-key.pem")
	into(&replaced, admin, "certificate", "rotate", cert.Fingerprint[:12], work+"/next.pem")
	if replaced.Fingerprint != cert.Fingerprint || replaced.ReplacedBy == "" {
		t.Errorf("rotate said %+v", replaced)
	}
	if out := must(viewer, "certificate", "list", "--tenant", "acme"); !strings.Contains(string(out), "replaced by") {
		t.Errorf("certificate list said %s", out)
	}
	if cmd, _ := remote(admin, "certificate", "remove", replaced.ReplacedBy, "--tenant", "acme", "--force"); cmd.Run() == nil {
		t.Error("a certificate was removed under the active job that seals for it since the rotation")
	}
	into(&job, admin, "job", "suspend", "nightly")
	into(&replaced, admin, "certificate", "remove", replaced.ReplacedBy, "--force")
	exported, err := os.ReadFile(work + "/plain/interaction-0001.jsonl")
	line, _, _ := bytes.Cut(exported, []byte("\n"))
	held, decoded := schemas.DecodeInteraction(line)
	if err != nil || decoded != nil {
		t.Fatal(err, decoded)
	}
	var erasure schemas.Erasure
	into(&erasure, admin, "erase", "--interaction", held.InteractionID, "--wait")
	if named := func(id string) bool {
		return slices.ContainsFunc(erasure.Exports, func(x schemas.AffectedExport) bool { return x.ExportID == id })
	}; erasure.State != schemas.ErasureDone || !named("far") || !named(e.ExportID) {
		t.Errorf("erase said %+v", erasure)
	}
	cmd, _ := remote(admin, "erase", "--interaction", strings.ToUpper(held.InteractionID), "--wait", "--tenant", "acme")
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 6 {
		t.Errorf("an erasure of nothing ends with %v", err)
	}
	for _, here := range []bool{false, true} { // through the server, then on the services
		act := func(args ...string) []byte {
			t.Helper()
			if here {
				return cdds(t, append([]string{"--data-dir", dir}, args...)...)
			}
			return must(admin, args...)
		}
		name := map[bool]string{false: "alice", true: "bob"}[here]
		for _, password := range [][]byte{act("user", "add", name, "--tenant", "acme", "--role", "viewer"), act("user", "passwd", name, "--tenant", "acme")} {
			if len(bytes.TrimSpace(password)) < 12 {
				t.Errorf("the password of %s is %q", name, password)
			}
		}
		if out := act("user", "list", "--tenant", "acme"); !strings.Contains(string(out), name) {
			t.Errorf("user list said %s", out)
		}
		act("user", "remove", name, "--tenant", "acme")
		if out := act("user", "list", "--tenant", "acme"); strings.Contains(string(out), name) {
			t.Errorf("user list said %s", out)
		}
		var made struct {
			TokenID string `json:"token_id"`
		}
		if err := json.Unmarshal(act("token", "create", "--tenant", "acme", "--name", "short", "--json"), &made); err != nil {
			t.Fatal(err)
		}
		act("token", "revoke", made.TokenID, "--tenant", "acme")
		if out := act("token", "list", "--tenant", "acme"); !strings.Contains(string(out), made.TokenID) || !strings.Contains(string(out), "revoked") {
			t.Errorf("token list said %s", out)
		}
	}

	theConsolesCommandsWork(t, server, admin, e.ExportID, work)

	// Retry of what is completed is refused at once, by the server and where the services are.
	refusals := map[string]*exec.Cmd{"through the server": nil, "on the services": command(t, "--data-dir", dir, "export", "retry", "far", "--tenant", "acme")}
	refusals["through the server"], _ = remote(admin, "export", "retry", "far", "--tenant", "acme")
	for where, cmd := range refusals {
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("retry of a completed export %s: %v, want exit code 3", where, err)
		}
	}
	into(&e, admin, "export", "delete", "far")
	if e.State != schemas.Deleted {
		t.Errorf("delete said %+v", e)
	}
	if out := must(viewer, "audit", "--tenant", "acme", "--subject", "far"); !strings.Contains(string(out), "export.delete") {
		t.Errorf("audit said %s", out)
	}
	cmd, stderr := remote(admin, "doctor")
	if err := cmd.Run(); err == nil || !strings.Contains(stderr.String(), "--server") {
		t.Errorf("a command of the services said %v %s", err, stderr)
	}

	for why, args := range map[string][]string{
		"a viewer cancels":        {"export", "cancel", "far", "--tenant", "acme"},
		"another tenant's export": {"export", "show", "far", "--tenant", "globex"},
	} {
		cmd, _ := remote(viewer, args...)
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("%s: %v, want exit code 3", why, err)
		}
	}
	if err := os.WriteFile(viewer, []byte("cdds_wrong_token"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, stderr = remote(viewer, "export", "list", "--tenant", "acme")
	if err := cmd.Run(); err == nil || !strings.Contains(stderr.String(), "cdds token create") {
		t.Errorf("with a wrong token: %v %s", err, stderr)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// theConsolesCommandsWork fetches the download script of an export, runs it, and runs the
// commands that the console gives to copy, as they are.
func theConsolesCommandsWork(t *testing.T, server, tokenFile, exportID, work string) {
	t.Helper()
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimSpace(string(token))
	page := func(path string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server+console.Prefix+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+secret)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v %.300s", path, answer.StatusCode, err, body)
		}
		return string(body)
	}
	for _, tool := range []string{"sh", "curl", "sha256sum", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("%s is not installed: the console's commands are not run", tool)
			return
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for from, to := range map[string]string{self: "cdds", work + "/cert.pem": "cert.pem", work + "/key.pem": "key.pem"} {
		if err := os.Symlink(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(in, script string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		cmd.Dir, cmd.Env = in, append(os.Environ(), "CDDS_TOKEN="+secret, "PATH="+dir+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	copied := regexp.MustCompile(`class="quiet" data-copy="([^"]*)"`) // an id to copy is no command
	commands := func(path string) (all []string) {
		for _, m := range copied.FindAllStringSubmatch(page(path), -1) {
			all = append(all, html.UnescapeString(m[1]))
		}
		return all
	}
	run(dir, page("/artifacts/"+exportID+"/download.sh"))
	whole, each := commands("/history/"+exportID), commands("/artifacts?export="+exportID)
	if len(whole) != 1 || len(each) == 0 {
		t.Fatalf("the pages give %q and %q to copy", whole, each)
	}
	if !strings.Contains(whole[0], " --signer ") || strings.Contains(whole[0], "SERVICE") {
		t.Errorf("%s proves who signed only to those who know the signer already", whole[0])
	}
	run(dir, whole[0])
	if files, err := filepath.Glob(filepath.Join(dir, exportID+"-plain", "*.jsonl")); err != nil || len(files) == 0 {
		t.Errorf("the command %s wrote %v, %v", whole[0], files, err)
	}
	made := t.TempDir()
	for _, command := range commands("/certificates") { // how to make a key pair
		run(made, command)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+"/api/v1/certificates?tenant=acme", bytes.NewReader(read(t, made+"/cert.pem")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Header.Set("Content-Type", "application/octet-stream")
	if answer, err := http.DefaultClient.Do(r); err != nil || answer.Body.Close() != nil || answer.StatusCode != http.StatusCreated {
		t.Errorf("the certificate that openssl made is answered with %+v, %v", answer, err)
	}
	for _, command := range each {
		run(filepath.Join(dir, exportID), "cp ../cert.pem ../key.pem . 2>/dev/null; "+command)
	}
}
