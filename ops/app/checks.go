package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/provision"
	"cdds/schemas"
)

// ImpliedRoles are the roles that a system of this configuration needs.
func ImpliedRoles(c config.Config) []string {
	return slices.DeleteFunc(Roles(), func(role string) bool {
		return role == "webhooks" && c.Webhooks.Secret == "" // nothing could be signed
	})
}

// Watch looks at roles from outside, whichever processes run them.
type Watch struct {
	Admin   *kadm.Client
	Offsets *connect.Offsets
}

// Check is one question and how it is answered: with a detail, or with what is wrong.
type Check struct {
	Name string
	// Role is the role that is looked at; empty for a service.
	Role string
	Do   func(context.Context) (string, error)
}

// OfRole looks at each consumer group of a role.
func (w Watch) OfRole(role string) []Check {
	access, _ := provision.AccessOf(role)
	if access.Shows != "" {
		return []Check{{"role " + role, role, func(ctx context.Context) (string, error) { return w.presence(ctx, access.Shows) }}}
	}
	var all []Check
	for _, group := range access.Groups {
		if group == schemas.GroupSnapshots { // it has offsets and no members
			continue
		}
		name := "role " + role
		if of := strings.TrimPrefix(strings.TrimPrefix(group, "cdds."), role); of != "" {
			name += " (" + strings.TrimPrefix(of, ".") + ")"
		}
		all = append(all, Check{name, role, func(ctx context.Context) (string, error) { return w.group(ctx, group) }})
	}
	return all
}

// presence wants a role that reads no topic to be seen in its group.
func (w Watch) presence(ctx context.Context, group string) (string, error) {
	described, err := w.Admin.DescribeGroups(ctx, group)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return "", describing(group, err)
	}
	running := len(described[group].Members)
	if running == 0 {
		return "", ErrNotRunning
	}
	return fmt.Sprintf("%d running", running), nil
}

// describing is why a group could not be described. One that does not exist never had a
// member.
func describing(group string, err error) error {
	if errors.Is(err, kerr.GroupIDNotFound) {
		return ErrNotRunning
	}
	return fmt.Errorf("describe group %s: %w", group, err)
}

// Errors of roles that nobody started, or that have just started.
var (
	ErrNotRunning = errors.New("no process runs this role; start one with `cdds up`")
	ErrUnstable   = errors.New("it may be rebalancing")
)

// group wants a role to have members that have joined.
func (w Watch) group(ctx context.Context, group string) (string, error) {
	l, err := w.Offsets.Lineage(ctx, schemas.TopicOf(group))
	if err != nil {
		return "", err
	}
	base := group
	group = l.Group(base)
	lags, err := w.Admin.Lag(ctx, group)
	if err != nil {
		return "", describing(group, err)
	}
	lag := lags[group]
	if err := lag.Error(); err != nil {
		return "", describing(group, err)
	}
	if len(lag.Members) == 0 {
		return "", ErrNotRunning
	}
	if lag.State != "Stable" {
		return "", fmt.Errorf("the group is %s, not Stable: %w", lag.State, ErrUnstable)
	}
	behind := totalLag(lag)
	if behind > 0 && !slices.Contains(patient, base) {
		if err := w.moving(ctx, group, behind); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d running, %s behind", len(lag.Members), schemas.Counted(behind, "record")), nil
}

// patient are the groups that may stand still for hours: an export runs, an erasure waits,
// a webhook is retried.
var patient = []string{schemas.GroupExport, schemas.GroupErasure, schemas.GroupWebhooks, schemas.GroupWebhookRequests}

// SettleTime is how long roles have to join their groups, and one that is behind to get on.
const SettleTime = 3 * time.Second

// moving wants a group that is behind to come nearer: what is stored or projected must not
// stand still.
func (w Watch) moving(ctx context.Context, group string, behind int64) error {
	before, err := w.Admin.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("offsets of group %s: %w", group, err)
	}
	for deadline := time.Now().Add(SettleTime); time.Now().Before(deadline); {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		after, err := w.Admin.FetchOffsets(ctx, group)
		if err != nil {
			return fmt.Errorf("offsets of group %s: %w", group, err)
		}
		moved := false
		after.Each(func(o kadm.OffsetResponse) {
			old, ok := before.Lookup(o.Topic, o.Partition)
			moved = moved || !ok || o.At > old.At
		})
		if moved {
			return nil
		}
	}
	return fmt.Errorf("%s behind and standing still; /readyz and the log of the role say why", schemas.Counted(behind, "record"))
}

func totalLag(l kadm.DescribedGroupLag) int64 {
	var n int64
	for _, member := range l.Lag.Sorted() {
		n += max(member.Lag, 0)
	}
	return n
}
