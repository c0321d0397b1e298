package main

import (
	"os/exec"
	"strings"
	"testing"
)

// depend is the packages of this program, built with a tag for a system.
func depend(t *testing.T, tag, system string) map[string]bool {
	t.Helper()
	goos, goarch, _ := strings.Cut(system, "/")
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", tag, ".")
	cmd.Env = append(cmd.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s for %s: %v", tag, system, err)
	}
	all := map[string]bool{}
	for _, name := range strings.Fields(string(out)) {
		all[name] = true
	}
	return all
}

// refuse fails if one of the packages is below one of the paths.
func refuse(t *testing.T, what string, all map[string]bool, below ...string) {
	t.Helper()
	for name := range all {
		for _, path := range below {
			if name == path || strings.HasPrefix(name, path+"/") {
				t.Errorf("%s holds %s", what, name)
			}
		}
	}
}

// The embedded stack is other people's servers: a third of the binary, half of the modules,
// and code that no production service should hold.
func TestAProductionBuildLeavesTheEmbeddedStackOut(t *testing.T) {
	stack := []string{"cdds/ops/stack", "github.com/versity/versitygw", "github.com/twmb/franz-go/pkg/kfake", "github.com/ebitengine/purego"}
	refuse(t, "a production build", depend(t, "production", "linux/amd64"), stack...)
	if !depend(t, "", "linux/amd64")[stack[0]] {
		t.Errorf("the usual build lacks %s", stack[0])
	}
}

// A receiver needs files and HTTP. `make receivers` builds what is checked here.
func TestAReceiversBuildHoldsNoServiceOnAnySystem(t *testing.T) {
	for _, system := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"} {
		all := depend(t, "receiver", system)
		refuse(t, "the receiver's build for "+system, all, "cdds/ops/stack", "cdds/ops/app", "cdds/ops/admin", "cdds/ops/console",
			"cdds/consumers", "cdds/producers", "cdds/pipeline/warehouse", "cdds/pipeline/ledger", "cdds/pipeline/bucket",
			"github.com/twmb/franz-go", "github.com/ClickHouse", "github.com/minio", "github.com/danielgtaylor/huma",
			"html/template") // with it the linker keeps every method: 5 MB
		for _, needed := range []string{"cdds/pipeline/receiver", "cdds/pipeline/receiver/pages", "cdds/pipeline/mirror/sqlite", "cdds/pipeline/mirror/postgres", "cdds/pipeline/mirror/parquet", "cdds/ops/api/client"} {
			if !all[needed] {
				t.Errorf("the receiver's build for %s lacks %s", system, needed)
			}
		}
	}
}
