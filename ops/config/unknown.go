package config

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Schema is the JSON Schema of the configuration file, for editors.
//
//go:embed config.schema.json
var Schema []byte

// prefix of every variable of CDDS.
const prefix = "CDDS_"

// others are variables that are no part of Config: of the command line, of the embedded
// stack, and for tests.
var others = []string{
	"CDDS_CONFIG", "CDDS_DATA_DIR", "CDDS_LOG_LEVEL", "CDDS_SERVER", "CDDS_TOKEN", "CDDS_TOKEN_FILE",
	"CDDS_CHDB_LIBRARY", "CDDS_STACK_KAFKA_LIBS", "CDDS_STACK_MINIO", "CDDS_STACK_CHILD",
}

// Variables lists every environment variable that sets something of Config.
func Variables() ([]string, error) {
	c := Default()
	params, err := env.GetFieldParamsWithOptions(&c, env.Options{Prefix: prefix})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range params {
		names = append(names, p.Key)
	}
	slices.Sort(names)
	return names, nil
}

// Unknown lists, in order, the CDDS_ variables of environ that nobody reads: most often
// one that is misspelt.
func Unknown(environ []string) []string {
	known, err := Variables()
	if err != nil {
		return nil // Load says so
	}
	known = append(known, others...)
	var unknown []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, prefix) && !slices.Contains(known, name) &&
			!strings.HasPrefix(name, "CDDS_TEST_") && !strings.HasPrefix(name, "CDDS_BENCH_") {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}
