package clients

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cdds/ops/stack"
	"cdds/ops/stack/apache"
)

// block is one fenced sh block of ops/docs/clients.md, with the headings above it.
type block struct {
	chapter, section string // "Publish", "kcat"
	needs            string // a key of probes; empty is nothing
	text             string
}

var fence = regexp.MustCompile("^```sh(?: needs=(\\S+))?$")

// blocks reads the page.
func blocks(t *testing.T) (all []block) {
	t.Helper()
	page, err := os.ReadFile(top + "/ops/docs/clients.md")
	check(t, err)
	var at block
	inside := false
	for line := range strings.Lines(string(page)) {
		text := strings.TrimSuffix(line, "\n")
		match := fence.FindStringSubmatch(text)
		switch {
		case inside && text == "```":
			all = append(all, at)
			inside = false
		case inside:
			at.text += line
		case match != nil:
			inside, at.needs, at.text = true, match[1], ""
		case strings.HasPrefix(text, "## "):
			at = block{chapter: text[3:], section: text[3:]}
		case strings.HasPrefix(text, "### "):
			at.section = text[4:]
		}
	}
	return all
}

// chapter returns the blocks below a heading, of which there must be some.
func chapter(t *testing.T, name string) (of []block) {
	t.Helper()
	for _, b := range blocks(t) {
		if b.chapter == name {
			of = append(of, b)
		}
	}
	if len(of) == 0 {
		t.Fatalf("ops/docs/clients.md has no blocks below %q", name)
	}
	return of
}

// probes are shell commands that succeed where a tool is installed.
var probes = map[string]string{
	"kcat":            "command -v kcat",
	"confluent-kafka": "python3 -c 'import confluent_kafka, cloudevents.core'",
	"kafka-clients":   "ls .tools/java/kafka-clients-*.jar && java --list-modules | grep jdk.compiler",
	"aws":             "command -v aws",
	"mc":              "mc --version | grep -i minio",
	"gpgsm":           "command -v gpgsm gpgconf",
	"nss":             "command -v cmsutil pk12util certutil",
	"bouncycastle":    "ls .tools/java/bcpkix-*.jar && java --list-modules | grep jdk.compiler",
	"cryptography":    "python3 -c 'from cryptography.hazmat.primitives.serialization.pkcs7 import pkcs7_decrypt_der'",
	"node-forge":      "node -e 'require(\"node-forge\")'",
	"pkijs":           "node -e 'require(\"pkijs\")'",
}

// slow takes seconds for each file; `make test-real` has the time.
var slow = []string{"kafka-clients", "bouncycastle", "gpgsm"}

// need skips the test where the tool of a block is missing.
func (d *desk) need(t *testing.T, b block) {
	t.Helper()
	if b.needs == "" {
		return
	}
	probe, known := probes[b.needs]
	if !known {
		t.Fatalf("%s needs %q, for which there is no probe", b.section, b.needs)
	}
	if slices.Contains(slow, b.needs) && os.Getenv(apache.LibsEnv)+os.Getenv(stack.MinIOEnv) == "" {
		t.Skipf("%s is slow: `make test-real` runs it", b.needs)
	}
	if out, err := d.try(t, probe); err != nil {
		t.Skipf("%s is not installed (`make client-tools` does it): %v %.200s", b.needs, err, out)
	}
}
