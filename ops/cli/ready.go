//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/config"
	"cdds/schemas"
)

// readyTimeout is a little more than the process itself gives its checks.
const readyTimeout = 12 * time.Second

func newReady(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "ready [HOST:PORT]",
		Short: "Ask a running process whether it is ready",
		Long: `Ask the metrics listener of a running process (metrics.listen where none is given)
whether its services answer and its roles work. For health checks of containers that
hold nothing else to ask with.

` + exitCodes,
		Example: examples("CDDS_METRICS_LISTEN=127.0.0.1:9180 cdds ready", "cdds ready 127.0.0.1:9180 --json"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(s.configFile, os.Environ())
			if err != nil {
				return usageError{err}
			}
			addr := c.Metrics.Listen
			if len(args) > 0 {
				addr = args[0]
			}
			return s.ready(cmd.Context(), addr)
		},
	}
}

func (s *session) ready(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" {
		return usageError{withHint(fmt.Errorf("no metrics address is configured: %q", addr), "set CDDS_METRICS_LISTEN to the fixed port of the process")}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens everywhere, here too
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return usageError{err}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return unreachable(err)
	}
	defer response.Body.Close()
	var told struct {
		Ready    bool              `json:"ready"`
		Problems map[string]string `json:"problems"`
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil {
		err = schemas.Read(answer, &told)
	}
	if err != nil {
		return unreachable(fmt.Errorf("what answers at %s is no cdds: %w", addr, err))
	}
	if !told.Ready {
		var all []string
		for _, name := range slices.Sorted(maps.Keys(told.Problems)) {
			all = append(all, name+": "+told.Problems[name])
		}
		return unreachable(errors.New("not ready: " + strings.Join(all, "; ")))
	}
	return s.result(told, func() { fmt.Fprintln(s.out, "ready") })
}
