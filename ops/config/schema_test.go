package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"cdds/ops/config"
)

var update = flag.Bool("update", false, "write generated files anew")

func TestSchemaIsThatOfTheConfiguration(t *testing.T) {
	r := &jsonschema.Reflector{
		FieldNameTag: "yaml", Anonymous: true, DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[time.Duration]():
				return &jsonschema.Schema{Type: "string", Description: "a duration such as 90s, 15m, 720h or 30d", Examples: []any{"15m"}}
			case reflect.TypeFor[config.Bytes]():
				return &jsonschema.Schema{Description: "a size such as 64MiB; -1 means unbounded", Examples: []any{"64MiB"}}
			case reflect.TypeFor[config.Secret]():
				return &jsonschema.Schema{Type: "string", Description: "a secret; the _file beside it keeps it out of this file"}
			}
			return nil
		},
	}
	if err := r.AddGoComments("cdds/ops/config", "./"); err != nil {
		t.Fatal(err)
	}
	schema := r.Reflect(&config.Config{})
	schema.Title = "Configuration of CDDS"
	want, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("config.schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(config.Schema, want) {
		t.Error("config.schema.json is not what Config says; go test ./ops/config -run Schema -update writes it")
	}
	if !bytes.Contains(want, []byte("host:port seeds")) {
		t.Error("the schema does not explain its keys")
	}
}

func TestSchemaTakesAFileAndRefusesAMisspeltKey(t *testing.T) {
	document, err := validator.UnmarshalJSON(bytes.NewReader(config.Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := validator.NewCompiler()
	if err := compiler.AddResource("config.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text []byte) error {
		var value map[string]any
		if err := yaml.Load(text, &value); err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value)
	}
	if err := validate([]byte("kafka: {brokers: ['kafka:9092'], session_timeout: 45s}\nexport: {memory: 64MiB}\n")); err != nil {
		t.Error(err)
	}
	if err := validate([]byte("kafka: {brokerz: ['kafka:9092']}\n")); err == nil {
		t.Error("a misspelt key passes")
	}
}

func TestVariablesThatNobodyReadsAreTold(t *testing.T) {
	got := config.Unknown([]string{
		"CDDS_KAFKA_BROKER=a", "CDDS_KAFKA_BROKERS=a", "CDDS_SERVER=x", "CDDS_TOKEN=x", "CDDS_EXPORT_SLOT=1",
		"HOME=/", "CDDS_TEST_ANY=1", "CDDS_S3_TLS_CA_FILE=x", "CDDS_WEB_OIDC_ISSUER=x",
	})
	if want := []string{"CDDS_EXPORT_SLOT", "CDDS_KAFKA_BROKER"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
