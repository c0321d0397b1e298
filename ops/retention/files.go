package retention

import (
	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// files counts those of an export, and which of them have no object.
type files struct {
	export    schemas.Export
	there     map[string]bool
	all, gone int
}

// newFiles begins with those that are no parts.
func newFiles(e schemas.Export, objects []bucket.Object) *files {
	f := &files{export: e, there: make(map[string]bool, len(objects))}
	for _, o := range objects {
		f.there[o.Key] = true
	}
	f.export.Parts = nil
	f.count()
	f.export.Completion = nil
	return f
}

// part counts the files of a part.
func (f *files) part(r schemas.Receipt) {
	f.export.Parts = []schemas.Receipt{r}
	f.count()
}

func (f *files) count() {
	for _, a := range schemas.Artifacts(f.export) {
		f.all++
		if !f.there[a.Key] {
			f.gone++
		}
	}
}
