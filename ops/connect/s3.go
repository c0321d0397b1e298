package connect

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cdds/ops/config"
	"cdds/pipeline/answer"
	"cdds/pipeline/bucket"
)

// Bucket returns the bucket of artifacts. It connects on first use. Its links lead to the public
// URL, if there is one.
func Bucket(c config.S3) (*bucket.Bucket, error) {
	keys, err := keysOf(c)
	if err != nil {
		return nil, err
	}
	client, err := s3Client(c, c.Endpoint, c.TLS.Enabled, keys)
	if err != nil {
		return nil, err
	}
	b := bucket.New(client, c.Bucket)
	if c.PublicURL == "" {
		return b, nil
	}
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("s3.public_url: %w", err)
	}
	if c.Region == "" {
		c.Region = "us-east-1" // else the client would ask the public address for it
	}
	links, err := s3Client(c, public.Host, public.Scheme == "https", keys)
	if err != nil {
		return nil, err
	}
	return b.LinkedBy(links), nil
}

func s3Client(c config.S3, endpoint string, secure bool, keys *credentials.Credentials) (*minio.Client, error) {
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	transport.DialContext = movingDialer(s3Still)
	transport.ResponseHeaderTimeout = s3Still
	if secure {
		t, err := TLS(c.TLS)
		if err != nil {
			return nil, fmt.Errorf("s3.tls: %w", err)
		}
		transport.TLSClientConfig = t
	}
	client, err := minio.New(endpoint, &minio.Options{
		Creds:     keys,
		Secure:    secure,
		Region:    c.Region,
		Transport: http.RoundTripper(transport),
		// Not every S3 takes trailing checksums over plain HTTP.
		TrailingHeaders: false,
		MaxRetries:      3,
	})
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	return client, nil
}

// keysOf returns where the keys of S3 come from.
func keysOf(c config.S3) (*credentials.Credentials, error) {
	if c.Credentials != config.S3IAM && c.Credentials != config.S3WebIdentity {
		access, secret, err := c.Keys()
		return credentials.NewStaticV4(access, secret, ""), err
	}
	trust, err := TLS(c.TLS)
	if err != nil {
		return nil, fmt.Errorf("s3.tls: %w", err)
	}
	client := lender(trust)
	if c.Credentials == config.S3IAM {
		return credentials.New(&lent{
			Provider: &credentials.IAM{Client: client, Region: c.Region},
			advice:   "s3.credentials: iam finds no role of this pod, task or machine; see its service account or instance profile",
		}), nil
	}
	return credentials.New(&lent{
		Provider: &credentials.STSWebIdentity{Client: client, STSEndpoint: c.STSEndpoint, RoleARN: c.RoleARN, GetWebIDTokenExpiry: func() (*credentials.WebIdentityToken, error) {
			token, err := readToken("s3.web_identity_token_file", c.WebIdentityTokenFile)
			return &credentials.WebIdentityToken{Token: token}, err
		}},
		advice: "s3.credentials: web_identity gets no keys from " + c.STSEndpoint + "; see s3.role_arn, and that STS trusts the issuer of the token in " + c.WebIdentityTokenFile,
	}), nil
}

// lent gives keys that expire, and explains why there are none. While the service that
// lends them is away, the keys it gave last serve until they expire. credentials.Credentials
// calls it one at a time.
type lent struct {
	credentials.Provider
	advice string
	last   credentials.Value
	failed time.Time
}

// askedAgain is how soon a service that gave no other keys is asked again, while the last
// are valid: each request of S3 waits for the answer.
const askedAgain = 30 * time.Second

// RetrieveWithCredContext asks for other keys.
func (l *lent) RetrieveWithCredContext(c *credentials.CredContext) (credentials.Value, error) {
	valid := time.Now().Before(l.last.Expiration)
	if valid && time.Since(l.failed) < askedAgain {
		return l.last, nil
	}
	v, err := l.Provider.RetrieveWithCredContext(c)
	if err == nil {
		l.last = v
		return v, nil
	}
	if valid {
		l.failed = time.Now()
		return l.last, nil
	}
	explained := fmt.Errorf("%s: %w", l.advice, err)
	var sts credentials.ErrorResponse
	if errors.As(err, &sts) && slices.Contains(refusals, sts.STSError.Code) {
		return credentials.Value{}, &answer.Error{Service: "STS", Meaning: answer.Mendable, Err: explained}
	}
	return credentials.Value{}, explained
}

// Retrieve is RetrieveWithCredContext for callers without one.
func (l *lent) Retrieve() (credentials.Value, error) { return l.RetrieveWithCredContext(nil) }

// refusals are the answers of STS that stay the same until an operator changes something.
var refusals = []string{
	"AccessDenied", "InvalidIdentityToken", "IDPRejectedClaim", "InvalidParameterValue", "ValidationError", "MalformedPolicyDocument", "RegionDisabledException",
}
