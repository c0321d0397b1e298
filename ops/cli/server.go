package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
)

// remote is a client of the server --server names; nil where none is named, and the
// command acts on the services themselves.
func (s *session) remote() (*client.Client, error) {
	if s.server == "" {
		return nil, nil
	}
	token := os.Getenv("CDDS_TOKEN")
	if s.tokenFile != "" {
		b, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return nil, usageError{fmt.Errorf("--token-file: %w", err)}
		}
		token = strings.TrimSpace(string(b))
	}
	c, err := client.New(s.server, token)
	if err != nil {
		return nil, usageError{withHint(err, "set CDDS_TOKEN or --token-file; `cdds token create` makes a token")}
	}
	return c, nil
}

// answered gives the error of a server the exit code it amounts to.
func answered(err error) error {
	var p *client.Problem
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &p):
		if codeOf(err) != exitFailure {
			return err
		}
		return unreachable(err)
	case p.Status == http.StatusBadRequest:
		return usageError{err}
	case p.Status == http.StatusUnauthorized:
		return refused(withHint(err, "the token is unknown, expired or revoked: `cdds token create` makes another"))
	case p.Status >= http.StatusInternalServerError, p.Status == http.StatusTooManyRequests:
		return unreachable(err)
	}
	return refused(err)
}

// tenantFlag adds the required --tenant.
func tenantFlag(cmd *cobra.Command, tenant *string) {
	cmd.Flags().StringVar(tenant, "tenant", "", "`tenant` whose history it is (required)")
	_ = cmd.MarkFlagRequired("tenant")
}
