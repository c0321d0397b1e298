package connect

import (
	"context"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"cdds/ops/config"
	"cdds/pipeline/bucket"
)

// CheckLinks reports whether links to artifacts lead to the object store, whose signature they
// carry. It follows one to an object that is not there.
func CheckLinks(ctx context.Context, b *bucket.Bucket, c config.S3) error {
	ctx, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	link, err := b.Link(ctx, "cdds/no-such-object", "none", time.Minute)
	if err != nil {
		return err
	}
	// People come with their system's authorities; a store inside may have one of its own.
	trust, err := TLS(config.TLS{})
	if err != nil {
		return err
	}
	if c.TLS.CAFile != "" {
		pem, err := os.ReadFile(c.TLS.CAFile)
		if err != nil {
			return fmt.Errorf("s3.tls.ca_file: %w", err)
		}
		if trust.RootCAs, err = x509.SystemCertPool(); err != nil {
			trust.RootCAs = x509.NewCertPool()
		}
		trust.RootCAs.AppendCertsFromPEM(pem)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link.String(), nil)
	if err != nil {
		return err
	}
	at := link.Scheme + "://" + link.Host
	response, err := transport.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("%s, where links lead, does not answer: %w; see s3.public_url", at, err)
	}
	defer func() { _ = response.Body.Close() }()
	var said struct{ Code string }
	content, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err == nil {
		err = xml.Unmarshal(content, &said)
	}
	switch {
	case said.Code == "NoSuchKey":
		return nil
	case said.Code == "SignatureDoesNotMatch":
		return fmt.Errorf("the store behind %s does not accept the signature of a link: a proxy there must pass on the Host header and the path as they are", at)
	case err != nil || said.Code == "":
		return fmt.Errorf("%s, where links lead, answers %s, and not as an object store does; see s3.public_url", at, response.Status)
	}
	return errors.New("the store behind " + at + " answers a link with " + said.Code + ", not with NoSuchKey; see s3.public_url and the rights of its keys")
}
