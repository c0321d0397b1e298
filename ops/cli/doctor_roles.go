//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/provision"
	"cdds/schemas"
)

// impliedRoles are the roles that a system of this configuration needs.
func impliedRoles(c config.Config) []string {
	return slices.DeleteFunc(app.Roles(), func(role string) bool {
		return role == "webhooks" && c.Webhooks.Secret == "" // nothing could be signed
	})
}

func knownRoles(roles []string) error {
	for _, role := range roles {
		if !slices.Contains(app.Roles(), role) {
			return usageError{fmt.Errorf("role %q is unknown%s; roles are %s", role, config.DidYouMean(role, app.Roles()), strings.Join(app.Roles(), ", "))}
		}
	}
	return nil
}

// checksOfRole looks at each consumer group of a role.
func checksOfRole(role string) []check {
	access, _ := provision.AccessOf(role)
	if access.Shows != "" {
		return []check{{"role " + role, func(ctx context.Context, s *services) (string, error) {
			return checkPresence(ctx, s, access.Shows)
		}}}
	}
	var all []check
	for _, group := range access.Groups {
		if group == schemas.GroupSnapshots { // it has offsets and no members
			continue
		}
		name := "role " + role
		if of := strings.TrimPrefix(strings.TrimPrefix(group, "cdds."), role); of != "" {
			name += " (" + strings.TrimPrefix(of, ".") + ")"
		}
		all = append(all, check{name, func(ctx context.Context, s *services) (string, error) {
			return checkGroup(ctx, s, group)
		}})
	}
	return all
}

// checkPresence wants a role that reads no topic to be seen in its group.
func checkPresence(ctx context.Context, s *services, group string) (string, error) {
	described, err := s.admin.DescribeGroups(ctx, group)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return "", describing(group, err)
	}
	running := len(described[group].Members)
	if running == 0 {
		return "", errNobody
	}
	return fmt.Sprintf("%d running", running), nil
}

// describing is why a group could not be described. One that does not exist never had a
// member.
func describing(group string, err error) error {
	if errors.Is(err, kerr.GroupIDNotFound) {
		return errNobody
	}
	return fmt.Errorf("describe group %s: %w", group, err)
}

var (
	errNobody   = errors.New("no process runs this role; start one with `cdds up`")
	errUnstable = errors.New("it may be rebalancing")
)

// untilSettled asks again, up to a deadline, while a role has no member yet or its group
// rebalances: a process that has just started takes a moment to join.
func untilSettled(ctx context.Context, deadline time.Time, ask func() (string, error)) (string, error) {
	for {
		detail, err := ask()
		if !errors.Is(err, errNobody) && !errors.Is(err, errUnstable) || time.Now().After(deadline) {
			return detail, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// checkGroup wants a role to have members that have joined.
func checkGroup(ctx context.Context, s *services, group string) (string, error) {
	l, err := s.offsets.Lineage(ctx, schemas.TopicOf(group))
	if err != nil {
		return "", err
	}
	base := group
	group = l.Group(base)
	lags, err := s.admin.Lag(ctx, group)
	if err != nil {
		return "", describing(group, err)
	}
	lag := lags[group]
	if err := lag.Error(); err != nil {
		return "", describing(group, err)
	}
	if len(lag.Members) == 0 {
		return "", errNobody
	}
	if lag.State != "Stable" {
		return "", fmt.Errorf("the group is %s, not Stable: %w", lag.State, errUnstable)
	}
	behind := totalLag(lag)
	if behind > 0 && !slices.Contains(patient, base) {
		if err := checkMoving(ctx, s, group, behind); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d running, %s behind", len(lag.Members), schemas.Counted(behind, "record")), nil
}

// patient are the groups that may stand still for hours: an export runs, an erasure waits,
// a webhook is tried again.
var patient = []string{schemas.GroupExport, schemas.GroupErasure, schemas.GroupWebhooks}

// settleTime is how long roles have to join their groups, and one that is behind to get on.
const settleTime = 3 * time.Second

// checkMoving wants a group that is behind to come nearer: what is stored or projected
// must not stand still.
func checkMoving(ctx context.Context, s *services, group string, behind int64) error {
	before, err := s.admin.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("offsets of group %s: %w", group, err)
	}
	for deadline := time.Now().Add(settleTime); time.Now().Before(deadline); {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		after, err := s.admin.FetchOffsets(ctx, group)
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
