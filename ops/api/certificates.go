package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/schemas"
)

// CertificateFile is an uploaded certificate.
type CertificateFile struct {
	Name    string `query:"name" maxLength:"200" doc:"What people call it."`
	RawBody []byte `contentType:"application/pem-certificate-chain" doc:"The certificate in PEM, or DER. A file that holds a private key is refused and not kept."`
}

// CertificatePath names a certificate by its fingerprint.
type CertificatePath struct {
	Scope
	Fingerprint string `path:"fingerprint" pattern:"^[0-9a-f]{64}$" doc:"The SHA-256 of the certificate in lower-case hex."`
}

// maxCertificate bounds an upload.
const maxCertificate = 128 << 10

func (a *API) certificates() {
	tags := []string{"Certificates"}
	upload := map[string]*huma.MediaType{}
	for _, t := range []string{"application/pem-certificate-chain", "application/pkix-cert", "application/octet-stream"} {
		upload[t] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	}
	register(a, huma.Operation{
		OperationID: "list-certificates", Method: http.MethodGet, Path: "/certificates", Tags: tags, Summary: "List registered certificates, the latest first",
	}, func(ctx context.Context, in *struct{ Scope }) (*answer[Listing[schemas.Certificate]], error) {
		list, err := on(ctx, a, in.Scope, func(h *admin.Handle) ([]schemas.Certificate, error) { return h.Certificates(ctx) })
		return give(all(list, same), err)
	})
	register(a, huma.Operation{
		OperationID: "add-certificate", Method: http.MethodPost, Path: "/certificates", Tags: tags, Summary: "Register a recipient's certificate", DefaultStatus: http.StatusCreated,
		Description: "The body is one certificate in PEM or DER: X.509, RSA of 2048 bits or more, valid now, fit for key encipherment.",
		RequestBody: &huma.RequestBody{Required: true, Content: upload},
	}, func(ctx context.Context, in *struct {
		Scope
		CertificateFile
	}) (*answer[schemas.Certificate], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Certificate, error) {
			return h.AddCertificate(ctx, in.Name, bounded(in.RawBody))
		}))
	})
	register(a, huma.Operation{
		OperationID: "show-certificate", Method: http.MethodGet, Path: "/certificates/{fingerprint}", Tags: tags, Summary: "Show a certificate",
	}, func(ctx context.Context, in *struct {
		CertificatePath
		IfNoneMatch
	}) (*revised[schemas.Certificate], error) {
		c, err := on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Certificate, error) { return h.Certificate(ctx, in.Fingerprint) })
		return read(in.IfNoneMatch, c, err)
	})
	register(a, huma.Operation{
		OperationID: "certificate-sample", Method: http.MethodGet, Path: "/certificates/{fingerprint}/sample", Tags: tags,
		Summary:     "Fetch a small message sealed for a certificate, to try the private key with",
		Description: "An S/MIME message, sealed as files would be: openssl cms -decrypt -in cdds-sample.p7m -recip cert.pem -inkey key.pem",
		Responses: map[string]*huma.Response{"200": {Description: "The message", Content: map[string]*huma.MediaType{
			"application/pkcs7-mime": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
		}}},
	}, func(ctx context.Context, in *struct {
		CertificatePath
		Cipher    string `query:"cipher" enum:"aes-256-cbc,aes-256-gcm" default:"aes-256-cbc"`
		Transport string `query:"key_transport" enum:"rsa-pkcs1v15,rsa-oaep" default:"rsa-pkcs1v15"`
	}) (*struct {
		Type        string `header:"Content-Type"`
		Disposition string `header:"Content-Disposition"`
		Body        []byte
	}, error) {
		sample, err := on(ctx, a, in.Scope, func(h *admin.Handle) ([]byte, error) {
			return h.Sample(ctx, in.Fingerprint, in.Cipher, in.Transport)
		})
		if err != nil {
			return nil, err
		}
		return &struct {
			Type        string `header:"Content-Type"`
			Disposition string `header:"Content-Disposition"`
			Body        []byte
		}{"application/pkcs7-mime", `attachment; filename="` + admin.SampleName + `"`, sample}, nil
	})
	register(a, huma.Operation{
		OperationID: "replace-certificate", Method: http.MethodPut, Path: "/certificates/{fingerprint}/replacement", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary:     "Register another certificate and use it wherever this one is named",
		RequestBody: &huma.RequestBody{Required: true, Content: upload}, Errors: []int{400, 401, 403, 404, 409, 422, 429},
	}, func(ctx context.Context, in *struct {
		CertificatePath
		CertificateFile
	}) (*answer[schemas.Certificate], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Certificate, error) {
			return h.ReplaceCertificate(ctx, in.Fingerprint, in.Name, bounded(in.RawBody))
		}))
	})
	register(a, huma.Operation{
		OperationID: "remove-certificate", Method: http.MethodDelete, Path: "/certificates/{fingerprint}", Tags: tags, Summary: "Remove a certificate",
		Errors: []int{400, 401, 403, 404, 409, 412, 422, 429},
	}, func(ctx context.Context, in *struct {
		CertificatePath
		IfMatch
	}) (*struct{}, error) {
		return done(ctx, a, in.Scope, func(h *admin.Handle) error { return in.of(h).RemoveCertificate(ctx, in.Fingerprint) })
	})
}

// bounded cuts what is far too long to be a certificate; the rest does not parse as one.
func bounded(b []byte) []byte { return b[:min(len(b), maxCertificate)] }
