package provision

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"cdds/schemas"
)

var update = flag.Bool("update", false, "write the generated table anew")

const (
	securePage = "../docs/secure.md"
	begin, end = "<!-- access lists: generated -->\n", "<!-- end -->\n"
)

func TestPageOnSecurityHoldsTheAccessListsThatAreGranted(t *testing.T) {
	content, err := os.ReadFile(securePage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks of its table", securePage)
	}
	want := before + begin + accessTable() + end + after
	if *update {
		if err := os.WriteFile(securePage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(content) != want {
		t.Error("ops/docs/secure.md is not what is granted; go test ./ops/provision -run AccessLists -update writes it")
	}
}

func accessTable() string {
	var b strings.Builder
	b.WriteString("| user of | Read on topics | Read on groups | Write on topics | Describe on groups |\n|---|---|---|---|---|\n")
	list := func(all []string) string {
		slices.Sort(all)
		return strings.Join(slices.Compact(all), "<br>")
	}
	for _, role := range slices.Sorted(maps.Keys(accesses)) {
		a, _ := AccessOf(role)
		writes := slices.Clone(a.Writes)
		for _, t := range a.Reads {
			writes = append(writes, t.DeadLetter())
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", role, list(names(a.readable())), list(slices.Clone(a.joins())), list(names(writes)), list(slices.Clone(a.Asks)))
	}
	return b.String()
}

func TestNobodyWhoProducesMayRead(t *testing.T) {
	for _, role := range []string{"producer", "requester"} {
		if a, ok := AccessOf(role); !ok || len(a.readable())+len(a.Groups) > 0 {
			t.Errorf("%s may read: %+v", role, a)
		}
	}
	if a, _ := AccessOf("export"); !slices.Contains(a.readable(), schemas.TopicInteractions) {
		t.Error("exports commit the snapshots they promise of interactions, and may not read these: Kafka refuses that (OffsetCommit wants Read on the topic)")
	}
	for role, a := range accesses {
		// web publishes dead letters again.
		if slices.Contains(a.Writes, schemas.TopicInteractions) && role != "producer" && role != "web" {
			t.Errorf("%s may write history", role)
		}
	}
}
