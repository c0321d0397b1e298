package pages

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// conversation is an interaction as a page shows it.
type conversation struct {
	Month       string // a heading, if it is the first of its month
	Day         string
	Media       string
	Direction   string
	Subject     string
	When        string
	Machine     string // the time as in the export
	Status      string
	Facts       []fact // what people look for first
	Text        string
	Turns       []turn // the text, if it is a dialogue
	Notes       string
	Attachments []file
	Rest        []fact // every other member

	month   string
	indexed bool // Attachments are from an index
}

// attach adds a line of an index. It says more than the interaction does.
func (c *conversation) attach(f file) {
	if !c.indexed {
		c.Attachments, c.indexed = nil, true
	}
	c.Attachments = append(c.Attachments, f)
}

// turn is what one speaker says in a dialogue.
type turn struct {
	Speaker string
	Text    string
	Theirs  bool // the customer's
}

// file is an attachment.
type file struct {
	Name    string
	About   string
	Path    string // of the decrypted file; "" if none exists
	Linked  bool   // a browser shows it without running it
	Problem string
}

// conversationOf is how an interaction is shown.
func conversationOf(r record) *conversation {
	c := &conversation{
		Media: r.text("media_type"), Direction: r.text("direction"), Subject: r.text("subject"),
		Status: r.text("status"), Text: r.text("text"), Notes: r.text("notes"), Machine: r.text("started_at"),
		Rest: r.facts("text", "notes", "attachments"),
	}
	c.When, c.Day, c.month = moments(r.text("started_at"), r.text("ended_at"))
	for _, f := range []fact{{"Queue", r.text("queue")}, {"Agent", r.text("agent_id")}, {"Category", r.text("category")}, {"Ended as", r.text("disposition")}} {
		if f.Value != "" {
			c.Facts = append(c.Facts, f)
		}
	}
	c.Turns = dialogue(c.Text)
	for _, a := range r.objects("attachments") {
		c.Attachments = append(c.Attachments, file{
			Name: orElse(a.text("name"), a.text("attachment_id")), About: a.text("content_type"),
			Problem: "its content is not among the files of this export",
		})
	}
	return c
}

// moments are when an interaction was: in words, as a day and as a month.
func moments(started, ended string) (when, day, month string) {
	at, err := time.Parse(time.RFC3339, started)
	if err != nil {
		return started, started, ""
	}
	at = at.UTC()
	when = at.Format(onMinute)
	if end, err := time.Parse(time.RFC3339, ended); err == nil && end.After(at) {
		layout := "15:04"
		if end = end.UTC(); end.Format(time.DateOnly) != at.Format(time.DateOnly) {
			layout = onMinute
		}
		when += " to " + end.Format(layout)
	}
	return when, at.Format(onDay), at.Format("January 2006")
}

// speakers are who speaks first in a dialogue; the customer's side and ours.
var (
	theirs = []string{"customer", "client", "caller", "consumer", "visitor", "user", "contact"}
	ours   = []string{"agent", "operator", "assistant", "supervisor", "bot", "system"}

	speakerPattern = regexp.MustCompile(`^(\p{L}[\p{L}\p{N}._-]{0,39}):[ \t]+(.*)$`)
)

// dialogue is a text as turns, if it is one: its first line begins with a known speaker, and
// there are two or more turns. Any other text stays as it is.
func dialogue(text string) (all []turn) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		said := speakerPattern.FindStringSubmatch(line)
		switch {
		case said != nil && (len(all) > 0 || known(said[1])):
			all = append(all, turn{said[1], said[2], slices.Contains(theirs, strings.ToLower(said[1]))})
		case len(all) == 0:
			return nil
		default:
			all[len(all)-1].Text += "\n" + line
		}
	}
	if len(all) < 2 {
		return nil
	}
	return all
}

func known(speaker string) bool {
	speaker = strings.ToLower(speaker)
	return slices.Contains(theirs, speaker) || slices.Contains(ours, speaker)
}

// attached is a line of an index.
func attached(r record) file {
	f := file{Name: orElse(r.text("name"), r.text("attachment_id")), Problem: r.text("problem"), About: r.text("content_type")}
	if name := r.text("file"); name != "" {
		f.Path = receiver.AttachmentFile(schemas.AttachmentLine{File: name})
		f.Linked = harmless[strings.ToLower(path.Ext(f.Path))]
	}
	return f
}

// harmless are the endings of files that a browser shows, plays or saves, and never runs. What
// has another one, such as a page, is named and not linked: from a file on disk its script
// could read other files.
var harmless = endings(`png jpg jpeg gif webp bmp tif tiff heic avif
	wav mp3 ogg oga opus m4a aac flac amr mp4 m4v webm mov avi mkv
	pdf txt log csv tsv rtf doc docx xls xlsx ppt pptx odt ods odp msg ics vcf zip gz 7z`)

func endings(list string) map[string]bool {
	all := map[string]bool{}
	for _, ending := range strings.Fields(list) {
		all["."+ending] = true
	}
	return all
}
