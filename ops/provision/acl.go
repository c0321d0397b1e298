package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"

	"cdds/schemas"
)

// Access is all that a role needs of Kafka where an authorizer guards it. Beside it every
// role may see that topics and their offsets exist (Describe on the prefix "cdds.").
type Access struct {
	Reads   []schemas.Topic // consumed; its dead letters are written to Reads' own .dlq
	Groups  []string        // joined for Reads
	Replays []schemas.Topic // read from the start, or from days ago, at every start, outside any group
	Commits []schemas.Topic // not consumed, but offsets are committed of them, for which Kafka wants Read
	Writes  []schemas.Topic // produced to
	Asks    []string        // groups whose committed offsets it looks at
	Shows   string          // the group it joins to be seen, if it joins none for Reads
}

// accesses of roles, and of those outside who produce, ask for exports, or look.
var accesses = map[string]Access{
	"ingest": {
		Reads:   schemas.SourceTopics(),
		Groups:  ingestGroups(),
		Replays: []schemas.Topic{schemas.TopicErased},
	},
	"export": {
		Reads:   []schemas.Topic{schemas.TopicExportRequests},
		Groups:  []string{schemas.GroupExport, schemas.GroupSnapshots},
		Commits: schemas.SourceTopics(), // the snapshots that are promised
		Replays: []schemas.Topic{schemas.TopicJobs, schemas.TopicCertificates, schemas.TopicHolds},
		Writes:  []schemas.Topic{schemas.TopicExportStatus, schemas.TopicAudit},
		Asks:    readers(schemas.SourceTopics()...),
	},
	"history": {
		Reads:  []schemas.Topic{schemas.TopicExportStatus, schemas.TopicAudit, schemas.TopicWebhookDeliveries},
		Groups: []string{schemas.GroupHistory, schemas.GroupAudit, schemas.GroupDeliveries},
	},
	"retention": {
		Replays: []schemas.Topic{schemas.TopicJobs, schemas.TopicCertificates, schemas.TopicHolds},
		Writes:  []schemas.Topic{schemas.TopicExportStatus, schemas.TopicAudit},
		Asks:    readers(schemas.TopicExportStatus),
		Shows:   schemas.PresenceGroup("retention"),
	},
	"erasure": {
		Reads:   []schemas.Topic{schemas.TopicErasureRequests},
		Groups:  []string{schemas.GroupErasure},
		Replays: []schemas.Topic{schemas.TopicJobs, schemas.TopicCertificates, schemas.TopicHolds},
		Writes:  []schemas.Topic{schemas.TopicErased, schemas.TopicErasureRequests, schemas.TopicExportRequests, schemas.TopicAudit},
		Asks:    readers(append(schemas.SourceTopics(), schemas.TopicExportStatus)...),
	},
	"schedule": {
		Replays: []schemas.Topic{schemas.TopicJobs, schemas.TopicCertificates, schemas.TopicHolds},
		Writes:  []schemas.Topic{schemas.TopicExportRequests},
		Shows:   schemas.PresenceGroup("schedule"),
	},
	"webhooks": {
		Reads:   []schemas.Topic{schemas.TopicExportStatus, schemas.TopicWebhookDeliveries},
		Groups:  []string{schemas.GroupWebhooks, schemas.GroupWebhookRequests},
		Replays: []schemas.Topic{schemas.TopicJobs, schemas.TopicCertificates, schemas.TopicHolds},
		Writes:  []schemas.Topic{schemas.TopicWebhookDeliveries},
	},
	"web": {
		Replays: append([]schemas.Topic{schemas.TopicJobs, schemas.TopicCertificates, schemas.TopicHolds, schemas.TopicAccess, schemas.TopicExportRequests, schemas.TopicErasureRequests}, shownLetters()...),
		Writes:  append(schemas.SourceTopics(), schemas.TopicJobs, schemas.TopicCertificates, schemas.TopicHolds, schemas.TopicAccess, schemas.TopicExportRequests, schemas.TopicErasureRequests, schemas.TopicWebhookDeliveries, schemas.TopicAudit), // letters are published again
		Asks:    slices.Concat(readers(schemas.SourceTopics()...), watched()),
		Shows:   schemas.PresenceGroup("web"),
	},
	"producer": {
		Writes: schemas.SourceTopics(),
	},
	"requester": {
		Writes: []schemas.Topic{schemas.TopicExportRequests, schemas.TopicErasureRequests},
	},
}

func ingestGroups() []string {
	var groups []string
	for _, t := range schemas.SourceTopics() {
		groups = append(groups, schemas.IngestGroup(t))
	}
	return groups
}

// shownLetters are the topics of the dead letters that the console shows.
func shownLetters() (all []schemas.Topic) {
	for _, t := range append(schemas.SourceTopics(), schemas.TopicExportRequests, schemas.TopicErasureRequests) {
		all = append(all, t.DeadLetter())
	}
	return all
}

// watched are the groups that have the processes of a role as members: the page of health
// shows how each does.
func watched() []string {
	groups := append(ingestGroups(), schemas.GroupExport, schemas.GroupHistory, schemas.GroupAudit, schemas.GroupDeliveries, schemas.GroupErasure, schemas.GroupWebhooks, schemas.GroupWebhookRequests)
	for _, role := range []string{"retention", "schedule", "web"} {
		groups = append(groups, schemas.PresenceGroup(role))
	}
	return groups
}

// readers are the groups that say how far topics were read.
func readers(topics ...schemas.Topic) []string {
	var groups []string
	for _, t := range topics {
		groups = append(groups, schemas.Readers(t)...)
	}
	return groups
}

// AccessOf is what a role needs; false if nothing is known of it. Who reads a topic looks
// how far others have read it, too: that is how it notices that the topic was replaced.
func AccessOf(role string) (Access, bool) {
	a, ok := accesses[role]
	a.Asks = slices.Concat(a.Asks, readers(a.Reads...))
	slices.Sort(a.Asks)
	a.Asks = slices.Compact(a.Asks)
	return a, ok
}

// joins are the groups that a role is a member of.
func (a Access) joins() []string {
	if a.Shows == "" {
		return a.Groups
	}
	return append(slices.Clone(a.Groups), a.Shows)
}

// readable are the topics that a role may read.
func (a Access) readable() []schemas.Topic { return slices.Concat(a.Reads, a.Replays, a.Commits) }

// Grant lets principal ("User:cdds-ingest") do what the access says and nothing else,
// for a cluster that refuses what nobody allowed. It needs Alter on the cluster, and is
// safe to repeat.
func (a Access) Grant(ctx context.Context, admin *kadm.Client, principal string) error {
	on := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Allow(principal).AllowHosts().ResourcePatternType(kadm.ACLPatternLiteral)
	}
	// Each incarnation of a topic has a group of its own, whose name begins like this.
	groups := func(names []string) *kadm.ACLBuilder {
		return on().Groups(names...).ResourcePatternType(kadm.ACLPatternPrefixed)
	}
	grants := []*kadm.ACLBuilder{
		on().Topics("cdds.").ResourcePatternType(kadm.ACLPatternPrefixed).Operations(kadm.OpDescribe),
	}
	writes := slices.Clone(a.Writes)
	for _, t := range a.Reads {
		writes = append(writes, t.DeadLetter())
	}
	if reads := a.readable(); len(reads) > 0 {
		grants = append(grants, on().Topics(names(reads)...).Operations(kadm.OpRead))
	}
	if joins := a.joins(); len(joins) > 0 {
		grants = append(grants, groups(joins).Operations(kadm.OpRead))
	}
	if len(writes) > 0 {
		grants = append(grants, on().Topics(names(writes)...).Operations(kadm.OpWrite))
	}
	if len(a.Asks) > 0 {
		grants = append(grants, groups(a.Asks).Operations(kadm.OpDescribe))
	}
	for _, g := range grants {
		results, err := admin.CreateACLs(ctx, g)
		if err != nil {
			return fmt.Errorf("grant %s: %w", principal, err)
		}
		for _, r := range results {
			if r.Err != nil {
				return fmt.Errorf("grant %s %s on %s: %w", r.Principal, r.Operation, r.Name, r.Err)
			}
		}
	}
	return nil
}

func names(topics []schemas.Topic) []string {
	var all []string
	for _, t := range topics {
		all = append(all, string(t))
	}
	return all
}
