//go:build !receiver

package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cdds/ops/admin"
	"cdds/ops/api"
	"cdds/ops/api/client"
	"cdds/schemas"
)

func newLetter(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "letter",
		Short: "List dead letters, show one, publish one again",
		Long: `List dead letters, the records that could not be read; show one; publish one again to the
topic it was published to. They may hold the data of any tenant, so this is for
administrators of all tenants, through a server: see cdds login. That letters were shown
is in the audit trail.

A letter is named as the list names it: the topic, and the partition and offset of the
letter, such as cdds.interactions/0/12.

` + exitCodes,
		Example: examples("cdds letter list --topic cdds.interactions", "cdds letter show cdds.interactions/0/12", "cdds letter publish cdds.interactions/0/12"),
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLetterList(s), newLetterShow(s), newLetterPublish(s))
	return cmd
}

// letterName is how a letter is named on the command line.
func letterName(l admin.DeadLetter) string {
	return fmt.Sprintf("%s/%d/%d", l.Topic, l.Place.Partition, l.Place.Offset)
}

// letterOf reads the name of a letter.
func letterOf(name string) (topic schemas.Topic, at admin.LetterPlace, err error) {
	parts := strings.Split(name, "/")
	if len(parts) == 3 {
		partition, bad := strconv.ParseInt(parts[1], 10, 32)
		offset, worse := strconv.ParseInt(parts[2], 10, 64)
		if bad == nil && worse == nil && partition >= 0 && offset >= 0 {
			return schemas.Topic(parts[0]), admin.LetterPlace{Partition: int32(partition), Offset: offset}, nil
		}
	}
	return "", at, usageError{withHint(fmt.Errorf("%q does not name a dead letter", name), "name the topic, the partition and the offset, such as cdds.interactions/0/12", "`cdds letter list` lists them")}
}

func newLetterList(s *session) *cobra.Command {
	var topic string
	cmd := &cobra.Command{
		Use: "list", Short: "List the latest dead letters, the latest first",
		Long:    "List the latest 50 dead letters of each partition, the latest first.\n\n" + exitCodes,
		Example: examples("cdds letter list", "cdds letter list --topic cdds.contacts --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.onServer(func(c *client.Client) error {
				all, err := c.Letters(cmd.Context(), schemas.Topic(topic))
				if err != nil {
					return err
				}
				rows := [][]string{{"LETTER", "PUBLISHED", "BYTES", "REASON"}}
				for _, l := range all {
					rows = append(rows, []string{letterName(l), l.Time.String(), schemas.Grouped(l.Bytes), oneLine(l.Reason)})
				}
				return s.list(map[string]any{"letters": all}, rows, "every record could be read")
			})
		},
	}
	cmd.Flags().StringVar(&topic, "topic", "", "only letters of this `topic`")
	return lists(cmd)
}

func newLetterShow(s *session) *cobra.Command {
	var value string
	cmd := &cobra.Command{
		Use: "show LETTER", Short: "Show a dead letter",
		Long: `Show a dead letter: what is wrong with it, whose record it is, whether it can be published
again, and who did that. --value writes the record's value to a file, so that the
producer can repair it.

` + exitCodes,
		Example: examples("cdds letter show cdds.interactions/0/12", "cdds letter show cdds.interactions/0/12 --value record.json"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, at, err := letterOf(args[0])
			if err != nil {
				return err
			}
			return s.onServer(func(c *client.Client) error {
				l, err := c.Letter(cmd.Context(), topic, at)
				if err != nil {
					return err
				}
				if value != "" {
					if err := os.WriteFile(value, l.ValueBytes, 0o600); err != nil {
						return usageError{err}
					}
				}
				return s.result(l, func() { s.showLetter(l) })
			})
		},
	}
	cmd.Flags().StringVar(&value, "value", "", "write the value to this `file`, which only you can read")
	return cmd
}

func (s *session) showLetter(l api.WholeLetter) {
	rows := [][]string{{"letter", letterName(l.DeadLetter)}, {"id", l.LetterID}, {"reason", oneLine(l.Reason)}, {"published", l.Time.String()}, {"was at", fmt.Sprintf("partition %d, position %d", l.Partition, l.Offset)}, {"value", schemas.Counted(l.Bytes, "byte")}}
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name, text})
		}
	}
	add("begins with", l.Value)
	add("tenant", l.TenantID)
	add("about", l.About)
	if l.Again > 0 {
		add("again", fmt.Sprintf("it was published again %s before, the last time from letter %s", schemas.Counted(l.Again, "time"), l.From))
	}
	switch {
	case l.Unfinished:
		add("state", l.Published.By+" began to publish it again at "+l.Published.At.String()+", and was interrupted; publish it to finish that")
	case l.Published != nil && l.Published.PublishedAt.IsZero():
		add("state", l.Published.By+" is publishing it again")
	case l.Published != nil:
		add("state", fmt.Sprintf("%s published it again at %s, to partition %d, position %d", l.Published.By, l.Published.PublishedAt, l.Published.Partition, l.Published.Offset))
	case l.Problem != "":
		add("state", "it cannot be published again: "+l.Problem)
	case !l.Newer.IsZero():
		add("state", "a newer version was published at "+l.Newer.String()+"; published again, the letter would replace it")
	default:
		add("state", "it can be published again")
	}
	s.table(rows)
}

func newLetterPublish(s *session) *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use: "publish LETTER", Short: "Publish a dead letter to its topic again",
		Long: `Publish a dead letter to its topic again, with its original bytes. This works once: a second
attempt is refused, with the name of the first publisher. CDDS also refuses a letter that still
cannot be read, was cut, or is about an erased subject.

The record becomes the newest version of its row. If a newer version is stored, the record
would replace it, and the command needs --replace-newer.

` + exitCodes,
		Example: examples("cdds letter publish cdds.interactions/0/12"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, at, err := letterOf(args[0])
			if err != nil {
				return err
			}
			return s.onServer(func(c *client.Client) error { return s.publishLetter(cmd.Context(), c, topic, at, replace) })
		},
	}
	cmd.Flags().BoolVar(&replace, "replace-newer", false, "publish it although a newer version is stored")
	return cmd
}

func (s *session) publishLetter(ctx context.Context, c *client.Client, topic schemas.Topic, at admin.LetterPlace, replace bool) error {
	l, err := c.Letter(ctx, topic, at)
	if err != nil {
		return err
	}
	r, err := c.PublishLetter(ctx, topic, at, l.LetterID, replace)
	if err != nil {
		return err
	}
	return s.result(r, func() {
		s.print("published %s of tenant %s to %s, partition %d, position %d\n", l.About, l.TenantID, r.Topic, r.Partition, r.Offset)
	})
}
