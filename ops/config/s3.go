package config

import (
	"fmt"
	"net/url"
	"strings"
)

// S3 says where the object store is.
type S3 struct {
	// Endpoint is host:port, without a scheme.
	Endpoint string `yaml:"endpoint" env:"ENDPOINT"`
	// Credentials is where the keys come from. static: AccessKey and SecretKey. iam: the role of
	// the pod, the task or the machine, as AWS gives it (IRSA, EKS Pod Identity, ECS, EC2).
	// web_identity: STS, for the token in WebIdentityTokenFile (MinIO, or AWS without IRSA). Keys
	// of iam and web_identity are renewed before they expire.
	Credentials   string `yaml:"credentials" env:"CREDENTIALS"`
	AccessKey     string `yaml:"access_key" env:"ACCESS_KEY"`
	SecretKey     Secret `yaml:"secret_key" env:"SECRET_KEY"`
	SecretKeyFile string `yaml:"secret_key_file" env:"SECRET_KEY_FILE"`
	// WebIdentityTokenFile holds the token of web_identity, such as one that Kubernetes projects;
	// it is read each time that keys are renewed. RoleARN is the role to assume; MinIO takes the
	// role of the token's policy where it is empty.
	WebIdentityTokenFile string `yaml:"web_identity_token_file" env:"WEB_IDENTITY_TOKEN_FILE"`
	RoleARN              string `yaml:"role_arn" env:"ROLE_ARN"`
	// STSEndpoint is the URL of STS for web_identity, such as https://sts.eu-central-1.amazonaws.com.
	STSEndpoint string `yaml:"sts_endpoint" env:"STS_ENDPOINT"`
	Bucket      string `yaml:"bucket" env:"BUCKET"`
	// AttachmentsBucket is where producers put what attachments refer to, below
	// <tenant>/. It is another one than Bucket, so that they need no access to that.
	AttachmentsBucket string `yaml:"attachments_bucket" env:"ATTACHMENTS_BUCKET"`
	Region            string `yaml:"region" env:"REGION"`
	// ObjectLock says that Bucket must have Object Lock, so that nobody removes what a hold keeps.
	// Provision makes it so; a bucket that exists is left as it is, and refused without.
	ObjectLock bool `yaml:"object_lock" env:"OBJECT_LOCK"`
	// PublicURL is how people reach the store, such as https://files.example.com; the links of
	// web.links lead there. Empty means by Endpoint. A proxy there must pass on the Host header
	// and the path as they are: both are part of a link's signature.
	PublicURL string `yaml:"public_url" env:"PUBLIC_URL"`
	TLS       TLS    `yaml:"tls" envPrefix:"TLS_"`
}

// Values of S3.Credentials.
const (
	S3Static      = "static"
	S3IAM         = "iam"
	S3WebIdentity = "web_identity"
)

// Keys are those of static credentials, or what is missing of them.
func (s S3) Keys() (access, secret string, err error) {
	if s.Credentials == S3IAM || s.Credentials == S3WebIdentity {
		return "", "", nil
	}
	lacks := lacking("s3.access_key", s.AccessKey, "", "")
	lacks = append(lacks, lacking("s3.secret_key", s.SecretKey.Reveal(), "s3.secret_key_file", s.SecretKeyFile)...)
	if len(lacks) > 0 {
		return "", "", fmt.Errorf("s3.credentials: static needs %s for s3.endpoint %q; for the credentials of a role set s3.credentials to iam or web_identity", strings.Join(lacks, " and "), s.Endpoint)
	}
	return s.AccessKey, s.SecretKey.Reveal(), nil
}

// check reports every problem, but what Keys lack.
func (s S3) check(add func(format string, args ...any)) {
	if s.Bucket == "" {
		add("s3.bucket is empty")
	}
	if s.AttachmentsBucket == "" || s.AttachmentsBucket == s.Bucket {
		add("s3.attachments_bucket must be another one than s3.bucket: who may write attachments may not touch artifacts")
	}
	switch s.Credentials {
	case S3Static:
	case S3IAM, S3WebIdentity:
		if s.AccessKey != "" || s.SecretKey != "" {
			add("s3.access_key and s3.secret_key are for s3.credentials: static; with %s remove them", s.Credentials)
		}
	default:
		add("s3.credentials %q is unknown; it must be %s, %s or %s", s.Credentials, S3Static, S3IAM, S3WebIdentity)
	}
	if s.Credentials == S3WebIdentity {
		if s.WebIdentityTokenFile == "" || s.STSEndpoint == "" {
			add("s3.credentials: web_identity needs s3.web_identity_token_file and s3.sts_endpoint")
		}
		if s.STSEndpoint != "" && !isBaseURL(s.STSEndpoint) {
			add("s3.sts_endpoint %q is not a URL such as https://sts.eu-central-1.amazonaws.com", s.STSEndpoint)
		} else if u, err := url.Parse(s.STSEndpoint); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			add("s3.sts_endpoint %q is not an https URL: the token would travel in the clear", s.STSEndpoint)
		}
	} else if s.WebIdentityTokenFile != "" || s.RoleARN != "" || s.STSEndpoint != "" {
		add("s3.web_identity_token_file, s3.role_arn and s3.sts_endpoint are for s3.credentials: web_identity")
	}
	if s.PublicURL != "" && !isBaseURL(s.PublicURL) {
		add("s3.public_url %q is not a URL such as https://files.example.com, without a path: the path of a link begins with the bucket", s.PublicURL)
	}
}

// isBaseURL reports whether text is the URL of a server, without a path or anything else.
func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") &&
		strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil
}
