package config

import (
	_ "embed"
	"slices"
	"strings"
)

// Schema is the JSON Schema of the configuration file, for editors.
//
//go:embed config.schema.json
var Schema []byte

// others are variables that are no part of Config: of the command line, of the embedded
// stack, and for tests.
var others = []string{
	"CDDS_CONFIG", "CDDS_DATA_DIR", "CDDS_LOG_LEVEL", "CDDS_SERVER", "CDDS_TOKEN", "CDDS_TOKEN_FILE",
	"CDDS_CHDB_LIBRARY", "CDDS_STACK_KAFKA_LIBS", "CDDS_STACK_MINIO", "CDDS_STACK_CHILD",
}

// Unknown lists, in order, the CDDS_ variables of environ that nobody reads: most often
// one that is misspelt.
func Unknown(environ []string) []string {
	known := append(Variables(), others...)
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
