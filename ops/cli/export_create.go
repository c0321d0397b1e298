//go:build !receiver

package cli

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/ops/connect"
	"cdds/pipeline/smime"
	"cdds/producers"
	"cdds/schemas"
)

// createFlags are the flags of `export create`.
type createFlags struct {
	tenant, id, entity, from, to, asOf, since string
	shape                                     shapeFlags
	media, recipients                         []string
	match                                     matchFlags
	people                                    peopleFlags
	policy                                    policyFlags
	retentionDays                             int
	all, wait, dryRun                         bool
	timeout                                   time.Duration
}

func newExportCreate(s *session) *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Request an export",
		Long: `Request an export of a tenant's interactions or contacts whose time (started_at,
created_at) lies in [--from, --to), or of all of them with --all. Times are RFC 3339, or a
date for 00:00 UTC.

--recipient names who can decrypt: a PEM or DER certificate file, or the SHA-256
fingerprint of a registered certificate. Never give a private key; a file with one is
refused here and never sent.

--queue, --direction, --status and --attribute limit interactions further (contacts: only
--attribute). Of several queues, directions or statuses one must hold, of attributes all.
A --queue with a comma is the queue of that name if there is one, or else the queues between
the commas; in double quotes it is one queue.

--contact and --contacts-file limit the export to the data of up to 10,000 people, by
contact_id: their interactions, or with --entity contact the contacts themselves. --reason says
why; the audit trail keeps it. An unknown id is an error. The manifest lists
the ids, and is signed but not encrypted.

--leave-out, --truncate and --pseudonym hide members of each row, named by JSON Pointer
(RFC 6901) such as /text or /attributes/region; --preset adds the rules for the personal data
of the schema. --policy reads all of that from a file. A pseudonym is a keyed HMAC-SHA-256, the
same in all exports of the tenant. Free text can only be left out.

--names genesys writes the field names of Genesys exports next to ours, of all members that the
field policy shows; ` + "`cdds import --names genesys`" + ` reads them back.

--dry-run says what the export would hold: exact rows, parts and bytes as of what is stored,
and the size and duration to expect, from recent exports of the tenant. Nothing is requested.

--retention-days lets the artifacts go before the tenant's time is over, never after.

--as-of repeats the snapshot of an earlier export: the same JSON Lines and zips, byte
for byte.

--since continues a completed export: the new export holds the difference between the two
selections. These are the newest versions of rows that are new, changed or newly selected,
and removals of rows that left the filter or were erased. The two filters may differ.

` + exitCodes,
		Example: examples(
			"cdds export create --tenant acme --from 2026-09-01 --to 2026-10-01 --recipient cert.pem --wait",
			"cdds export create --tenant acme --entity contact --all --recipient cert.pem",
			"cdds export create --tenant acme --from 2026-09-01 --to 2026-10-01 --queue sales --direction inbound --attribute region=north --recipient 9f86d0...",
			"cdds export create --tenant acme --from 2026-09-01 --to 2026-10-01 --dry-run",
			"cdds export create --tenant acme --all --contact c-42 --reason 'access request 4711' --recipient cert.pem --wait",
			"cdds export create --tenant acme --from 2026-09-01 --to 2026-10-01 --preset personal --recipient cert.pem --wait",
			"cdds export create --tenant acme --from 2026-09-01 --to 2026-10-01 --leave-out /text --pseudonym /contact_id --truncate /attributes/postcode=2 --recipient cert.pem",
			"cdds export create --tenant acme --from 2026-09-01 --to 2026-10-01 --names genesys --recipient cert.pem",
			"cdds export create --tenant acme --from 2026-09-01T08:00:00Z --to 2026-09-01T18:00:00Z --media chat,voice --split-size 16MiB --encoding der --recipient a.pem --recipient b.pem --json"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, _, err := f.times(); err != nil { // said before a service is looked for
				return aboutExport{usageError{err}, schemas.Export{TenantID: f.tenant, ExportID: f.id, State: schemas.Refused}}
			}
			return s.anywhere(func(c *client.Client) error { return s.remoteCreate(cmd.Context(), c, f) },
				func(services *services) error { return s.create(cmd.Context(), services, f) })
		},
	}
	tenantFlag(cmd, &f.tenant)
	flags := cmd.Flags()
	flags.StringVar(&f.entity, "entity", schemas.EntityInteraction, "`entity` to export: interaction or contact")
	flags.StringVar(&f.from, "from", "", "`time` the range begins, inclusive")
	flags.StringVar(&f.to, "to", "", "`time` the range ends, exclusive")
	flags.BoolVar(&f.all, "all", false, "export all rows, whatever their time")
	flags.StringSliceVar(&f.media, "media", nil, "media `types`, comma separated; all if not given")
	f.match.add(flags)
	f.people.add(flags)
	flags.IntVar(&f.retentionDays, "retention-days", 0, "how many `days` the artifacts live (default: as long as the tenant's may)")
	f.shape.add(cmd)
	f.policy.add(cmd)
	flags.StringSliceVar(&f.recipients, "recipient", nil, "certificate `file` or fingerprint of who can decrypt; repeatable (required, but for --dry-run)")
	flags.StringVar(&f.id, "id", "", "export `id`; a new one if not given")
	flags.StringVar(&f.asOf, "as-of", "", "`id` of an export of the tenant whose snapshot to repeat")
	flags.StringVar(&f.since, "since", "", "`id` of a completed export of the tenant to continue")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what the export would hold, and request nothing")
	flags.BoolVar(&f.wait, "wait", false, "wait until the export has ended, showing progress")
	flags.DurationVar(&f.timeout, "timeout", 0, "stop waiting after this `duration`; the export goes on")
	cmd.MarkFlagsRequiredTogether("from", "to")
	cmd.MarkFlagsMutuallyExclusive("all", "from")
	cmd.MarkFlagsOneRequired("recipient", "dry-run")
	cmd.MarkFlagsMutuallyExclusive("wait", "dry-run")
	_ = cmd.RegisterFlagCompletionFunc("entity", cobra.FixedCompletions(schemas.Entities(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("media", cobra.FixedCompletions(schemas.MediaTypes(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// create requests an export. It reports the export's id and state also when it fails.
func (s *session) create(ctx context.Context, services *services, f createFlags) error {
	if f.id == "" {
		f.id = ulid.Make().String()
	}
	e := schemas.Export{TenantID: f.tenant, ExportID: f.id, State: schemas.Refused}
	r, err := f.request()
	if err == nil {
		err = r.CheckIDs() // nobody could answer under others
	}
	if err == nil {
		r.Queues, err = f.match.resolve(func(names []string) ([]string, error) { return services.queuesAmong(ctx, f.tenant, names) })
	}
	if err == nil {
		err = f.repeat(ctx, services, r)
	}
	if err == nil {
		err = services.checkContacts(ctx, r)
	}
	switch {
	case errors.Is(err, smime.ErrPrivateKey): // never sent, so nobody else can say so
		return aboutExport{refused(err), e}
	case err != nil && codeOf(err) == exitFailure:
		return aboutExport{usageError{err}, e}
	case err != nil:
		return aboutExport{err, e}
	}
	if f.dryRun {
		return s.estimate(ctx, services, *r)
	}
	e, err = s.submit(ctx, services, r, f)
	if err != nil {
		return aboutExport{err, e}
	}
	if err := s.told(e, func() { s.describe(e) }); err != nil {
		return err
	}
	return outcome(e)
}

func (s *services) queuesAmong(ctx context.Context, tenant string, names []string) ([]string, error) {
	known, err := s.warehouse.QueuesAmong(ctx, tenant, names)
	if err != nil {
		return nil, unreachable(err)
	}
	return known, nil
}

// checkContacts refuses ids of which nothing is stored. What else is wrong with them is the
// service's to say.
func (s *services) checkContacts(ctx context.Context, r *schemas.ExportRequest) error {
	if invalid := r.Validate(); invalid != nil || len(r.Contacts) == 0 {
		return nil //nolint:nilerr // published, so that history has the refusal
	}
	err := s.warehouse.CheckContacts(ctx, r.TenantID, r.Contacts)
	if invalid := (*schemas.InvalidError)(nil); errors.As(err, &invalid) {
		return refused(err)
	}
	if err != nil {
		return unreachable(err)
	}
	return nil
}

// repeat takes over the snapshot of the export --as-of names.
func (f createFlags) repeat(ctx context.Context, services *services, r *schemas.ExportRequest) error {
	if f.asOf == "" {
		return nil
	}
	earlier, ok, err := services.ledger.Export(ctx, f.tenant, f.asOf)
	if err != nil {
		return unreachable(err)
	}
	if !ok || earlier.Snapshot == nil || earlier.Request == nil {
		return refused(fmt.Errorf("--as-of: tenant %s has no export %s with a snapshot to repeat", f.tenant, f.asOf))
	}
	if earlier.Request.Entity != r.Entity {
		return refused(fmt.Errorf("--as-of: export %s is of entity %s, whose snapshot says nothing about %s", f.asOf, earlier.Request.Entity, r.Entity))
	}
	r.Snapshot = earlier.Snapshot
	return nil
}

// unknownState is the error for an export that was requested with nobody there to say what
// became of it.
const unknownState schemas.State = "unknown"

// submit publishes the request and follows it as far as the flags say.
func (s *session) submit(ctx context.Context, services *services, r *schemas.ExportRequest, f createFlags) (schemas.Export, error) {
	e := schemas.Export{TenantID: r.TenantID, ExportID: r.ExportID, State: unknownState}
	publisher, err := producers.New(services.kafka, "cdds/cli", nil)
	if err != nil {
		return e, err
	}
	defer publisher.Close()
	if err := connect.PingKafka(ctx, services.client); err != nil { // sooner than a delivery times out
		return e, unreachable(err)
	}
	if err := publisher.Publish(ctx, r); err != nil {
		return e, unreachable(err)
	}
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
		defer cancel()
	}
	return s.await(ctx, services, r, f.wait)
}

// request makes the event from flags. What the service can judge it leaves to the
// service, so that every request leaves a trace in history.
func (f createFlags) request() (*schemas.ExportRequest, error) {
	r := &schemas.ExportRequest{
		TenantID: f.tenant, ExportID: f.id, Entity: f.entity, MediaTypes: trimmed(f.media), Encoding: f.shape.encoding, Cipher: f.shape.cipher, KeyTransport: f.shape.keyTransport,
		Attachments: f.shape.attachments, Compression: f.shape.compression, Names: f.shape.names,
		SinceExport: f.since, RetentionDays: f.retentionDays, RequestedAt: schemas.TimeOf(time.Now()), RequestedBy: whoami(), RequestedFrom: machine(),
	}
	var err error
	if r.Match, err = f.match.value(); err != nil {
		return nil, err
	}
	if r.FieldPolicy, err = f.policy.value(); err != nil {
		return nil, err
	}
	if r.Contacts, err = f.people.contacts(); err != nil {
		return nil, err
	}
	r.Reason = f.people.reason
	if r.From, r.To, err = f.times(); err != nil {
		return nil, err
	}
	if r.SplitSize, err = f.shape.split(); err != nil {
		return nil, err
	}
	for _, given := range f.recipients {
		recipient, err := recipientOf(given)
		if err != nil {
			return nil, err
		}
		r.Recipients = append(r.Recipients, recipient...)
	}
	return r, nil
}

// times is the range of the export. There is no default: one that is forgotten would export
// everything.
func (f createFlags) times() (from, to schemas.Time, err error) {
	switch {
	case f.all:
		from, to = schemas.Ever()
		return from, to, nil
	case f.from == "":
		return from, to, withHint(usageError{errors.New("no range is given")},
			"export a range: --from 2026-09-01 --to 2026-10-01",
			"export everything: --all",
			"see when the first and the last row are, and how many there are: --all --dry-run")
	}
	if from, err = parseTime("from", f.from); err != nil {
		return from, to, err
	}
	to, err = parseTime("to", f.to)
	return from, to, err
}

var fingerprint = regexp.MustCompile(`^[0-9a-f]{64}$`)

// recipientOf reads a certificate file, or takes a fingerprint.
func recipientOf(given string) ([]schemas.Recipient, error) {
	if fingerprint.MatchString(given) {
		return []schemas.Recipient{{Fingerprint: given}}, nil
	}
	content, err := os.ReadFile(given)
	if err != nil {
		return nil, fmt.Errorf("--recipient: %w", err)
	}
	certs, err := smime.ParseRecipients(content)
	if err != nil {
		return nil, fmt.Errorf("--recipient %s: %w", given, err)
	}
	var all []schemas.Recipient
	for _, c := range certs {
		all = append(all, schemas.Recipient{Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))})
	}
	return all, nil
}

func parseTime(flag, value string) (schemas.Time, error) {
	if day, err := time.Parse(time.DateOnly, value); err == nil {
		return schemas.TimeOf(day), nil
	}
	t, err := schemas.ParseTime(value)
	if err != nil {
		return t, fmt.Errorf("--%s: %w, or a date such as 2026-10-05", flag, err)
	}
	return t, nil
}

func whoami() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	return name + "@" + host
}

const (
	historyPoll = 50 * time.Millisecond
	// answerWithin is how long create waits for a word of the service when it was
	// not asked to wait for the end.
	answerWithin = 5 * time.Second
)

// await follows an export in history: to its end, or to the first word of it.
func (s *session) await(ctx context.Context, services *services, r *schemas.ExportRequest, toEnd bool) (schemas.Export, error) {
	e := schemas.Export{TenantID: r.TenantID, ExportID: r.ExportID, State: schemas.Requested, Request: r}
	deadline := time.Now().Add(answerWithin)
	bar := s.newBar("exporting", 0)
	told := ""
	ticker := time.NewTicker(historyPoll)
	defer ticker.Stop()
	for {
		found, ok, err := services.export(ctx, r.TenantID, r.ExportID)
		if err != nil && ctx.Err() == nil {
			bar.end(err)
			return e, unreachable(err)
		}
		if ok && err == nil && answers(found, r) {
			e = found
			bar.set(e.Done.JSONLBytes, max(e.Planned.JSONLBytes, 1))
			if e.Waiting != told {
				told = e.Waiting
				s.say("%s", told)
			}
		}
		if c, taken := conflictOf(found, r); taken {
			bar.end(nil)
			e.State, e.Reason = schemas.Refused, c
			return e, nil
		}
		if answers(found, r) && (e.State.Ended() || !toEnd) || !toEnd && time.Now().After(deadline) {
			bar.end(nil)
			return e, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			bar.end(ctx.Err())
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return e, withHint(fmt.Errorf("export %s is still %s", e.ExportID, e.State),
					fmt.Sprintf("it goes on: `%s` shows its progress", showCommand(e)))
			}
			return e, ctx.Err()
		}
	}
}

// answers tells whether history speaks of this very request, not of another one under
// the same id. What asks for no export itself is about whatever export there is.
func answers(e schemas.Export, r *schemas.ExportRequest) bool {
	asks := r.Action == "" || r.Action == schemas.ActionCreate
	return e.ExportID != "" && (!asks || e.RequestDigest == r.Digest())
}

// conflictOf tells whether this very request was refused because its id stands for
// another one.
func conflictOf(e schemas.Export, r *schemas.ExportRequest) (string, bool) {
	for _, c := range e.Conflicts {
		if c.RequestDigest == r.Digest() {
			return c.Reason, true
		}
	}
	return "", false
}
