package schemas_test

import (
	"slices"
	"testing"

	"cdds/schemas"
)

func TestNamesAndKeysOfArtifactsAreDerivedWhateverEventsClaim(t *testing.T) {
	forged := schemas.Export{
		TenantID: "acme", ExportID: "e1", Request: &schemas.ExportRequest{Entity: schemas.EntityContact},
		Parts: []schemas.Receipt{
			{Part: schemas.Part{Number: 1}, Name: "x; touch y", Key: "globex/secret/interaction-secret-0001.jsonl.zip.p7m"},
			{Part: schemas.Part{Number: 2, Kind: "../../globex/secret/x"}, Name: "manifest.json", Key: "globex/secret/manifest.json"},
			{Part: schemas.Part{Number: 3, Kind: schemas.KindAttachments}},
		},
		Completion: &schemas.Completion{ManifestKey: "globex/secret/manifest.json", SignatureKey: "/etc/passwd"},
	}
	want := []string{
		"contact-e1-0001.jsonl.zip.p7m", "contact-e1-0002.jsonl.zip.p7m", "attachments-e1-0003.jsonl.zip.p7m",
		schemas.ManifestName, schemas.SignatureName,
	}
	keys := func(e schemas.Export) (names []string) {
		for _, a := range schemas.Artifacts(e) {
			if a.Key != "acme/e1/"+a.Name {
				t.Errorf("%s is at %s", a.Name, a.Key)
			}
			names = append(names, a.Name)
		}
		return names
	}
	if got := keys(forged); !slices.Equal(got, want) {
		t.Errorf("the files are %v, want %v", got, want)
	}
	forged.Request = &schemas.ExportRequest{Entity: "../../globex/secret/x"}
	forged.Parts[0].Name = want[0] // what an honest event says where the request is lost
	if got := keys(forged); !slices.Equal(got, want) {
		t.Errorf("without a request the files are %v, want %v", got, want)
	}
}
