package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"cdds/ops/stack/broker"
	"cdds/ops/stack/engine"
	"cdds/ops/stack/objects"
)

const (
	childArg = "__stack"          // first argument of a child
	childEnv = "CDDS_STACK_CHILD" // set in a child
	lockWait = 20 * time.Second   // for a child of a killed stack to be gone
)

// job is what a child reads from its standard input.
type job struct {
	Name               string
	Dir                string // of the stack
	Port               int    // on 127.0.0.1
	Library            string // ClickHouse
	Memory             int64  // ClickHouse, bytes
	Database           string // ClickHouse
	Username, Password string // ClickHouse; access and secret key of S3
}

// ChildMain runs this process as a child of a stack if args, the arguments
// without the program's name, say that it is one; then it returns true and the
// exit code when the child has received the order to stop. It has to be called before
// anything else, by main and by the TestMain of packages that start a stack:
//
//	if code, ok := stack.ChildMain(os.Args[1:]); ok {
//		os.Exit(code)
//	}
func ChildMain(args []string) (exitCode int, isChild bool) {
	if len(args) == 0 || args[0] != childArg {
		return 0, false
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := runChild(log); err != nil {
		log.Error("stopped", "error", err)
		return 1, true
	}
	return 0, true
}

func runChild(log *slog.Logger) error {
	// All that is kept here is other people's conversations and keys.
	syscall.Umask(0o077)
	// The parent stops us; keys pressed in its terminal and the end of its
	// session do not.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	parent, err := ownInput()
	if err != nil {
		return err
	}
	in := bufio.NewReader(parent)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s is an internal command: the job is missing on standard input: %w", childArg, err)
	}
	var j job
	if err := json.Unmarshal(line, &j); err != nil {
		return errors.New("the job on standard input is not JSON") // the cause would quote secrets
	}
	go func() {
		_, _ = io.Copy(io.Discard, in) // until the parent closes it, or is no more
		cancel()
		time.Sleep(stopTimeout)
		os.Exit(3) // something hangs; nobody may be left to kill us
	}()
	wait, cancelWait := context.WithTimeout(ctx, lockWait)
	defer cancelWait()
	lock, err := waitLock(wait, filepath.Join(j.Dir, j.Name+".lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := j.standIn(ctx); err != nil {
		return err
	}
	return j.run(ctx, log)
}

func (j job) run(ctx context.Context, log *slog.Logger) error {
	data := filepath.Join(j.Dir, j.Name)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(j.Port))
	switch j.Name {
	case Kafka:
		return broker.Run(ctx, broker.Options{Dir: data, Port: j.Port, Logger: log})
	case ClickHouse:
		if server, err := givenClickHouse(); server != nil || err != nil {
			if err != nil {
				return err
			}
			return server.serve(ctx, addr, j.Database)
		}
		return engine.Run(ctx, engine.Options{
			Library: j.Library, Dir: data, Addr: addr, Memory: j.Memory,
			Username: j.Username, Password: j.Password, Database: j.Database, Logger: log,
		})
	case S3:
		return objects.Run(ctx, objects.Options{
			// The gateway refuses directories whose name begins with the data's.
			Dir: data, Sidecar: filepath.Join(j.Dir, "metadata-of-s3"), Versions: filepath.Join(j.Dir, "versions-of-s3"), Addr: addr,
			AccessKey: j.Username, SecretKey: j.Password, Logger: log,
		})
	}
	return fmt.Errorf("there is no child %q", j.Name)
}
