package schemas

import (
	"embed"
	"io/fs"
	"path"
)

//go:embed json/*.schema.json
var documents embed.FS

// Document is one JSON Schema (draft 2020-12).
type Document struct {
	// Name is the file's name, such as "interaction.schema.json". Documents refer
	// to each other by it, so a validator finds them side by side.
	Name string
	// JSON is its text.
	JSON []byte
}

// JSONSchemas returns the schemas of everything that crosses a topic or is handed
// to receivers, and of the types they share, sorted by name. What JSON Schema
// cannot say (that from is before to, that sums are right, that no name appears
// twice) the descriptions do, and only Decode and Validate check.
func JSONSchemas() []Document {
	files, err := fs.Glob(documents, "json/*.schema.json")
	if err != nil || len(files) == 0 {
		panic("schemas: the embedded JSON Schemas are missing")
	}
	var all []Document
	for _, file := range files { // Glob sorts by name
		b, err := documents.ReadFile(file)
		if err != nil {
			panic("schemas: " + err.Error())
		}
		all = append(all, Document{path.Base(file), b})
	}
	return all
}
