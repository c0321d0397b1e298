package config_test

import (
	"strings"
	"testing"

	"cdds/ops/config"
)

// TestHowToLogInIsCheckedAsAWhole: what is said twice, halfway, or of another mechanism.
func TestHowToLogInIsCheckedAsAWhole(t *testing.T) {
	const kafka, provider = "kafka: {tls: {enabled: true}, sasl: {mechanism: OAUTHBEARER, ", "oauth: {token_url: 'https://login.example.com/token', client_id: cdds"
	for yaml, want := range map[string]string{
		kafka + "token_file: /run/token}}":                                                          "",
		kafka + provider + ", client_secret: s, scopes: [a]}}}":                                     "",
		kafka + "token_file: /t, extensions: {logicalCluster: l}}}":                                 "",
		kafka + "token_file: /t, " + provider + ", client_secret: s}}}":                             "needs either kafka.sasl.token_file or kafka.sasl.oauth.token_url",
		kafka + "username: u}}":                                                                     "needs either kafka.sasl.token_file or kafka.sasl.oauth.token_url",
		kafka + provider + "}}}":                                                                    "kafka.sasl.oauth needs client_id and client_secret_file",
		kafka + "token_file: /t, extensions: {auth: x}}}":                                           `kafka.sasl.extensions: "auth" cannot be sent`,
		kafka + "oauth: {token_url: 'http://login.example.com/', client_id: c, client_secret: s}}}": `token_url "http://login.example.com/" is not an https URL`,
		kafka + "oauth: {token_url: 'http://127.0.0.1:1/', client_id: c, client_secret: s}}}":       "",
		"kafka: {sasl: {mechanism: OAUTHBEARER, token_file: /t}}":                                   "needs kafka.tls.enabled: without TLS, others could read the token and use it",
		"kafka: {sasl: {mechanism: PLAIN, username: u, password: p, token_file: /t}}":               "are for kafka.sasl.mechanism: OAUTHBEARER",
		"kafka: {sasl: {mechanism: oauthbearer}}":                                                   `kafka.sasl.mechanism "oauthbearer" is unknown; it must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER`,
		"s3: {credentials: iam}":                                                                    "",
		"s3: {credentials: iam, access_key: a}":                                                     "are for s3.credentials: static; with iam remove them",
		"s3: {credentials: role}":                                                                   `s3.credentials "role" is unknown; it must be static, iam or web_identity`,
		"s3: {credentials: web_identity, web_identity_token_file: /t, role_arn: r, sts_endpoint: 'https://sts.eu-central-1.amazonaws.com'}": "",
		"s3: {credentials: web_identity, sts_endpoint: 'https://minio:9000'}":                                                               "needs s3.web_identity_token_file and s3.sts_endpoint",
		"s3: {credentials: web_identity, web_identity_token_file: /t, sts_endpoint: 'minio:9000'}":                                          `s3.sts_endpoint "minio:9000" is not a URL`,
		"s3: {role_arn: r}":                             "are for s3.credentials: web_identity",
		"s3: {public_url: 'https://files.example.com'}": "",
		"s3: {public_url: 'https://example.com/files'}": "without a path: the path of a link begins with the bucket",
		"s3: {public_url: files.example.com}":           "is not a URL such as https://files.example.com",
	} {
		c, err := config.Load(write(t, yaml), nil)
		if err != nil {
			t.Errorf("%s: %v", yaml, err)
			continue
		}
		if err := c.CheckSettings(); (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
	}
}
