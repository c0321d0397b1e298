package stack

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"cdds/ops/stack/apache"
)

// MinIOEnv names the environment variable with the path of a minio server. Where it
// is set, the S3 of the embedded stack is MinIO.
const MinIOEnv = "CDDS_STACK_MINIO"

// standIn becomes the real service that the environment names for the job, if any: this
// process is replaced, so that a signal to the child is a signal to the service. It
// returns at once if none exists, and on failure.
func (j job) standIn(ctx context.Context) error {
	data := filepath.Join(j.Dir, j.Name)
	switch libs, minio := os.Getenv(apache.LibsEnv), os.Getenv(MinIOEnv); {
	case j.Name == Kafka && libs != "":
		argv, err := apache.Node{Libs: libs, Dir: data, ID: 1, Ports: []int{j.Port}}.Prepare(ctx)
		if err != nil {
			return err
		}
		return become(argv, os.Environ())
	case j.Name == S3 && minio != "":
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(j.Port))
		return become([]string{minio, "server", "--quiet", "--address", addr, data},
			append(os.Environ(), "MINIO_ROOT_USER="+j.Username, "MINIO_ROOT_PASSWORD="+j.Password, "MINIO_BROWSER=off", "MINIO_UPDATE=off"))
	}
	return nil
}

// become replaces this process.
func become(argv, env []string) error {
	if err := syscall.Exec(argv[0], argv, env); err != nil { //nolint:gosec // this binary again
		return fmt.Errorf("run %s: %w", argv[0], err)
	}
	return nil
}
