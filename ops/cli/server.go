package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/ops/config"
	"cdds/schemas"
)

// target is the server to act through; empty where the command acts on the services
// themselves. Who says where the services are means them, and not a saved context.
func (s *session) target() (savedContext, error) {
	if s.server != "" {
		token, err := s.givenToken()
		return savedContext{Server: s.server, Token: token}, err
	}
	if s.context == "" && s.saysWhereServicesAre() {
		return savedContext{}, nil
	}
	all, err := loadContexts()
	if err != nil {
		return savedContext{}, err
	}
	name := orElse(s.context, all.Current)
	if name == "" {
		return savedContext{}, nil
	}
	return all.named(name)
}

func (s *session) saysWhereServicesAre() bool {
	return s.configFile != "" || s.dataDir != "" && s.dataDir != config.DefaultDataDir || os.Getenv("CDDS_KAFKA_BROKERS") != ""
}

// givenToken is the token in a file or the environment. It never comes from the command
// line, which others can read.
func (s *session) givenToken() (string, error) {
	if s.tokenFile == "" {
		return os.Getenv("CDDS_TOKEN"), nil
	}
	b, err := os.ReadFile(s.tokenFile)
	if err != nil {
		return "", usageError{fmt.Errorf("--token-file: %w", err)}
	}
	return strings.TrimSpace(string(b)), nil
}

// remote is a client of the server to act through; nil where none is named, and the
// command acts on the services themselves.
func (s *session) remote() (*client.Client, error) {
	at, err := s.target()
	if err != nil || at.Server == "" {
		return nil, err
	}
	c, err := client.New(at.Server, at.Token)
	if err != nil {
		return nil, usageError{withHint(err, "set CDDS_TOKEN or --token-file, or use `cdds login`; `cdds token create` makes a token")}
	}
	return c, nil
}

// defaultTenant is the tenant of the context, or of the token.
func (s *session) defaultTenant(ctx context.Context) (string, error) {
	missing := usageError{withHint(errors.New("--tenant is required"), "or set CDDS_TENANT; a context of `cdds login` and a token of one tenant have theirs")}
	at, err := s.target()
	switch {
	case err != nil:
		return "", err
	case at.TenantID != "":
		return at.TenantID, nil
	case at.Server == "":
		return "", missing
	}
	c, err := s.remote()
	if err != nil {
		return "", err
	}
	who, err := c.Who(ctx)
	if err != nil {
		return "", answered(err)
	}
	if who.TenantID == schemas.AllTenants {
		return "", missing
	}
	return who.TenantID, nil
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
	case p.Quota:
		return overQuota(withHint(err, "try again in "+waiting(p.RetryAfter)+"; `cdds export list` shows what is running"))
	case p.Status >= http.StatusInternalServerError, p.Status == http.StatusTooManyRequests:
		return unreachable(err)
	}
	return refused(err)
}

// waiting is a time to wait, in words.
func waiting(d time.Duration) string {
	switch {
	case d < time.Minute:
		return schemas.Counted(int(math.Ceil(d.Seconds())), "second")
	case d < 2*time.Hour:
		return schemas.Counted(int(math.Ceil(d.Minutes())), "minute")
	}
	return schemas.Counted(int(math.Ceil(d.Hours())), "hour")
}

// tenantFlag adds --tenant, which fillTenant fills in where it is not given.
func tenantFlag(cmd *cobra.Command, tenant *string) {
	cmd.Flags().StringVar(tenant, "tenant", os.Getenv("CDDS_TENANT"), "`tenant` whose history it is (CDDS_TENANT; or else the context's, or the token's)")
	_ = cmd.Flags().SetAnnotation("tenant", tenantNeeded, nil)
}

const tenantNeeded = "cdds_tenant_needed"

// fillTenant gives a command that needs a tenant the default one.
func (s *session) fillTenant(cmd *cobra.Command) error {
	f := cmd.Flags().Lookup("tenant")
	if f == nil || f.Value.String() != "" {
		return nil
	}
	if _, needed := f.Annotations[tenantNeeded]; !needed {
		return nil
	}
	if f.Changed {
		return usageError{errors.New("--tenant is empty; give it a value, or leave it out")}
	}
	tenant, err := s.defaultTenant(cmd.Context())
	if err != nil {
		return err
	}
	return f.Value.Set(tenant)
}
