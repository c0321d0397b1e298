package copies

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/ops/cli"
	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/jsonl"
	"cdds/pipeline/mirror/mirrortest"
	"cdds/pipeline/mirror/parquet"
	"cdds/pipeline/mirror/postgres"
	"cdds/pipeline/mirror/postgres/postgrestest"
	"cdds/pipeline/mirror/sqlite"
	"cdds/schemas"
)

var (
	kills = flag.Int("kills", 8, "kill -9 each destination's sync so often")
	runs  = flag.Int("runs", 12, "over so many runs")
	seed  = flag.Uint64("seed", 1, "of the runs and of the moments")
)

// TestMain lets this test binary be cdds.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "cdds" {
		os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(postgrestest.Main(m))
}

// keys writes what a receiver has into a directory.
func keys(t testing.TB) (args []string) {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(mirrortest.Receiver().Key)
	check(t, err)
	for flag, block := range map[string]*pem.Block{
		"--cert":   {Type: "CERTIFICATE", Bytes: mirrortest.Receiver().Cert.Raw},
		"--key":    {Type: "PRIVATE KEY", Bytes: key},
		"--signer": {Type: "CERTIFICATE", Bytes: mirrortest.Service().Cert.Raw},
	} {
		file := filepath.Join(dir, flag[2:]+".pem")
		check(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
		args = append(args, flag, file)
	}
	return args
}

// sync is `cdds sync` in a process of its own.
func sync(t testing.TB, from string, to place, args []string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	if to.beside != "" {
		args = append(slices.Clone(args), "--files", to.beside+".files", "--work", to.beside+".work")
	}
	cmd := exec.Command(self, append([]string{"sync", "-q", "--from", from, "--to", to.to}, args...)...)
	cmd.Args[0] = "cdds"
	cmd.Stderr = new(bytes.Buffer)
	return cmd
}

// place is where a copy is.
type place struct {
	to   string
	open func(t *testing.T) mirror.Destination
	// read reads the lines as others do.
	read func(t *testing.T) []byte
	// beside is what directories of the copy lie beside, if not it.
	beside string
}

var kinds = map[string]func(t testing.TB, dir string) place{
	"postgres": func(t testing.TB, dir string) place {
		address := postgrestest.Address(t, dir)
		return place{address, opened(func(t *testing.T) (mirror.Destination, error) { return postgres.Open(t.Context(), address) }), nil, filepath.Join(dir, "copy")}
	},
	"sqlite": func(_ testing.TB, dir string) place {
		file := filepath.Join(dir, "copy.sqlite")
		return place{"sqlite:" + file, opened(func(t *testing.T) (mirror.Destination, error) { return sqlite.Open(t.Context(), file) }), nil, ""}
	},
	"parquet": func(_ testing.TB, dir string) place {
		dir = filepath.Join(dir, "copy")
		return place{"parquet:" + dir, opened(func(t *testing.T) (mirror.Destination, error) { return parquet.Open(t.Context(), dir) }), nil, ""}
	},
	"jsonl": func(_ testing.TB, dir string) place {
		dir = filepath.Join(dir, "copy")
		return place{"jsonl:" + dir, opened(func(t *testing.T) (mirror.Destination, error) { return jsonl.Open(t.Context(), dir) }), func(t *testing.T) []byte {
			files, err := filepath.Glob(filepath.Join(dir, "interactions", "*.jsonl"))
			check(t, err)
			var all []byte
			for _, file := range files {
				content, err := os.ReadFile(file)
				check(t, err)
				all = append(all, content...)
			}
			return all
		}, ""}
	},
}

func opened(open func(*testing.T) (mirror.Destination, error)) func(*testing.T) mirror.Destination {
	return func(t *testing.T) mirror.Destination {
		t.Helper()
		d, err := open(t)
		check(t, err)
		return d
	}
}

// compare holds a copy to the story as of the run that it says it is at, and returns that.
func (p place) compare(t *testing.T, story *mirrortest.Story) int {
	t.Helper()
	d := p.open(t)
	at, err := d.Position(t.Context(), schemas.EntityInteraction)
	check(t, err)
	var got bytes.Buffer
	err = d.Each(t.Context(), schemas.EntityInteraction, func(body []byte) error {
		got.Write(append(body, '\n'))
		return nil
	})
	// A copy in a database gets its tables in the transaction of its first run.
	none := err != nil && (strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "(SQLSTATE 42P01)"))
	if at.Number > 0 || !none {
		check(t, err)
	}
	check(t, d.Close())
	if want := story.Lines(at.Number); !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("at run %d the copy has\n%swhere the model has\n%s", at.Number, got.Bytes(), want)
	}
	if p.read != nil && !bytes.Equal(p.read(t), got.Bytes()) {
		t.Fatalf("at run %d others read\n%swhere the copy has\n%s", at.Number, p.read(t), got.Bytes())
	}
	return at.Number
}

// complete compares a copy that sync says is complete, attachments too.
func (p place) complete(t *testing.T, story *mirrortest.Story) {
	t.Helper()
	if at := p.compare(t, story); at != story.Runs() {
		t.Fatalf("sync succeeded and the copy is at run %d of %d", at, story.Runs())
	}
	path := p.beside
	if path == "" {
		_, path, _ = strings.Cut(p.to, ":")
	}
	var files []string
	check(t, fs.WalkDir(os.DirFS(path+".files"), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(name, ".") {
			files = append(files, name)
		}
		return err
	}))
	slices.Sort(files)
	if want := story.Files(story.Runs()); !slices.Equal(files, want) {
		t.Fatalf("the copy has the files %q, and the model %q", files, want)
	}
}

// maxPause bounds how long a sync lives, so that many kills do not take for ever.
const maxPause = 700 * time.Millisecond

// TestWhateverEndsASyncItsCopyIsWhole kills it at random moments. What was killed goes on;
// what came to the end is compared, and another copy begins. More: go test
// ./ops/proof/copies -run Whatever -v -args -kills 300 -runs 200.
func TestWhateverEndsASyncItsCopyIsWhole(t *testing.T) {
	story := mirrortest.NewStory(t, *seed, *runs)
	args := keys(t)
	for kind, at := range kinds {
		t.Run(kind, func(t *testing.T) {
			moments := rand.New(rand.NewPCG(*seed, 9))
			begin := time.Now()
			p := at(t, t.TempDir())
			cmd := sync(t, story.Dir, p, args)
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %s", err, cmd.Stderr)
			}
			p.complete(t, story)
			within := min(time.Since(begin), maxPause)

			p = at(t, t.TempDir())
			killed, completed, stood := 0, 0, map[int]bool{}
			for killed < *kills {
				cmd := sync(t, story.Dir, p, args)
				check(t, cmd.Start())
				timer := time.AfterFunc(time.Duration(moments.Int64N(int64(within))), func() { _ = cmd.Process.Kill() })
				err := cmd.Wait()
				timer.Stop()
				switch exit := (*exec.ExitError)(nil); {
				case err == nil:
					completed++
					p.complete(t, story)
					p = at(t, t.TempDir())
				case errors.As(err, &exit) && exit.ExitCode() == -1: // by the signal
					if killed++; killed%3 == 0 { // the others are found by the sync that goes on
						stood[p.compare(t, story)] = true
					}
				default:
					t.Fatalf("a sync after %d kills: %v: %s", killed, err, cmd.Stderr)
				}
			}
			cmd = sync(t, story.Dir, p, args)
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %s", err, cmd.Stderr)
			}
			p.complete(t, story)
			t.Logf("%d kills, %d copies completed, %d runs, found at %d of them", killed, completed+1, story.Runs(), len(stood))
		})
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
