package docs

import "embed"

// Pages are what people read, in Markdown.
//
//go:embed *.md *.svg tutorials/*.md
var Pages embed.FS
