package console

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/schemas"
)

func (c *Console) certificates() {
	c.open("GET /certificates", func(q *request) error { return c.certificateList(q) })
	c.open("POST /certificates", func(q *request) error {
		file, err := uploaded(q.r)
		if err != nil {
			return c.certificateList(q, err.Error())
		}
		added, err := q.AddCertificate(q.r.Context(), strings.TrimSpace(q.r.FormValue("name")), file)
		if bad := problemsOf(err); bad != nil {
			return c.certificateList(q, bad...)
		}
		if err != nil {
			return err
		}
		return q.goTo("/certificates/"+added.Fingerprint, "certificate.added")
	})
	c.open("GET /certificates/{fingerprint}", func(q *request) error { return c.certificatePage(q) })
	c.open("GET /certificates/{fingerprint}/sample", c.sample)
	c.open("POST /certificates/{fingerprint}/replace", func(q *request) error {
		file, err := uploaded(q.r)
		if err != nil {
			return c.certificatePage(q, err.Error())
		}
		added, err := q.ReplaceCertificate(q.r.Context(), q.r.PathValue("fingerprint"), strings.TrimSpace(q.r.FormValue("name")), file)
		if bad := problemsOf(err); bad != nil {
			return c.certificatePage(q, bad...)
		}
		if err != nil {
			return err
		}
		return q.goTo("/certificates/"+added.Fingerprint, "certificate.replaced")
	})
	c.open("POST /certificates/{fingerprint}/remove", func(q *request) error {
		err := q.RemoveCertificate(q.r.Context(), q.r.PathValue("fingerprint"))
		if bad := problemsOf(err); bad != nil {
			return c.certificatePage(q, bad...)
		}
		if err != nil {
			return err
		}
		return q.goTo("/certificates", "certificate.removed")
	})
}

// maxUpload bounds a certificate's file, in bytes.
const maxUpload = 64 << 10

// uploaded is the file of a form, or the text pasted into it.
func uploaded(r *http.Request) ([]byte, error) {
	if err := r.ParseMultipartForm(maxUpload); err != nil && !errors.Is(err, http.ErrNotMultipart) { //nolint:gosec // the site bounds every body
		return nil, fmt.Errorf("the file could not be read: a certificate has at most %d bytes", maxUpload)
	}
	if pasted := strings.TrimSpace(r.FormValue("pem")); pasted != "" {
		return []byte(pasted + "\n"), nil
	}
	file, _, err := r.FormFile("file")
	if err != nil {
		return nil, errors.New("choose a file (PEM or DER), or paste its text")
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxUpload+1))
	if err != nil || len(content) > maxUpload {
		return nil, fmt.Errorf("the file could not be read: a certificate has at most %d bytes", maxUpload)
	}
	return content, nil
}

// certificateRow is a certificate and the jobs that seal for it.
type certificateRow struct {
	schemas.Certificate
	Jobs []schemas.Job
}

func (c *Console) rows(q *request) ([]certificateRow, error) {
	registered, err := q.Certificates(q.r.Context())
	if err != nil {
		return nil, err
	}
	jobs, err := q.Jobs(q.r.Context())
	if err != nil {
		return nil, err
	}
	replaced, used := map[string][]string{}, map[string][]schemas.Job{}
	for _, j := range jobs {
		if j.Deleted() {
			continue
		}
		var all []string
		for _, named := range j.Recipients {
			if replaced[named] == nil {
				replaced[named] = append([]string{}, schemas.Replacements(named, registered)...)
			}
			all = append(all, replaced[named]...)
		}
		slices.Sort(all)
		for _, fingerprint := range slices.Compact(all) {
			used[fingerprint] = append(used[fingerprint], j)
		}
	}
	var all []certificateRow
	for _, cert := range registered {
		all = append(all, certificateRow{Certificate: cert, Jobs: used[cert.Fingerprint]})
	}
	return all, nil
}

// certificatesData is a page of certificates.
type certificatesData struct {
	Rows   []certificateRow
	Search string
	Numbered
}

func (c *Console) certificateList(q *request, problems ...string) error {
	all, err := c.rows(q)
	if err != nil {
		return err
	}
	d := certificatesData{Search: q.r.URL.Query().Get("q")}
	all = slices.DeleteFunc(all, func(row certificateRow) bool { return !certificateMatches(row.Certificate, d.Search) })
	d.Rows, d.Numbered = numberedPage(q.r.URL.Query(), all)
	return c.show(q, "certificates", view{Title: "Certificates", At: "/certificates", Problems: problems, Data: d})
}

func (c *Console) certificatePage(q *request, problems ...string) error {
	all, err := c.rows(q)
	if err != nil {
		return err
	}
	cert, err := q.Certificate(q.r.Context(), q.r.PathValue("fingerprint"))
	if err != nil {
		return err
	}
	row := certificateRow{Certificate: cert}
	for _, other := range all {
		if other.Fingerprint == cert.Fingerprint {
			row = other
		}
	}
	title := cert.Name
	if title == "" {
		title = cert.Subject
	}
	return c.show(q, "certificate", view{Title: title, At: "/certificates", Problems: problems, Data: row})
}

// sample is a small message sealed for the certificate, to try the private key with.
func (c *Console) sample(q *request) error {
	if !q.who.May(auth.Read) {
		return auth.ErrForbidden
	}
	sample, err := q.Sample(q.r.Context(), q.r.PathValue("fingerprint"), "", "")
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", "application/pkcs7-mime")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": admin.SampleName}))
	_, err = q.w.Write(sample) //nolint:gosec // bytes of an attachment
	return err
}
