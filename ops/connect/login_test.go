package connect_test

import (
	"strings"
	"testing"

	"cdds/ops/config"
	"cdds/ops/connect"
)

// TestClientsAreNotMadeWithoutWhatIsNeededToLogIn: whoever makes a client asks what the check of
// the configuration asks.
func TestClientsAreNotMadeWithoutWhatIsNeededToLogIn(t *testing.T) {
	if _, err := connect.Bucket(config.S3{Endpoint: "minio:9000", Bucket: "cdds", AccessKey: "a"}); err == nil || !strings.Contains(err.Error(), "static needs s3.secret_key_file (or s3.secret_key)") {
		t.Errorf("a client of S3 without a key: %v", err)
	}
	if _, err := connect.Kafka(config.Kafka{Brokers: []string{"k:1"}, SASL: config.SASL{Mechanism: "SCRAM-SHA-512", Username: "u"}}, "test", nil); err == nil || !strings.Contains(err.Error(), "SCRAM-SHA-512 needs kafka.sasl.password_file (or kafka.sasl.password)") {
		t.Errorf("a client of Kafka without a password: %v", err)
	}
}
