package smime_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"cdds/pipeline/smime"
)

func TestReaderOpensWhatOpensslSealed(t *testing.T) {
	cert, key := alice(t)
	want := vector(t, "content.txt")
	for _, name := range []string{
		"aes256.der", "aes192.der", "aes128.der", "keyid.der", "three.der", "stream.der",
		"cms.p7m", "cms-stream.p7m", "crlf.p7m", "smime.p7m", "gcm.der", "oaep.der",
	} {
		got, err := open(vector(t, name), cert, key)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: opened %d bytes, error %v", name, len(got), err)
		}
	}
}

func TestReaderOpensWhatOpensslStreams(t *testing.T) {
	openssl := tool(t, "openssl")
	p := people()[0]
	cert := file(t, "cert.pem", p.certPEM)
	for _, form := range []string{"DER", "SMIME"} {
		for _, size := range sizes {
			content := random(size)
			message := run(t, content, openssl, "cms", "-encrypt", "-stream", "-binary", "-aes256", "-outform", form, cert)
			got, err := open(message, p.cert, p.key)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s, %d bytes: opened %d bytes, error %v", form, size, len(got), err)
			}
		}
	}
}

func TestReaderKeepsTheContractOfIOReader(t *testing.T) {
	cert, key := alice(t)
	want := vector(t, "content.txt")
	for _, name := range []string{"aes256.der", "stream.der", "cms.p7m", "gcm.der"} {
		r, err := smime.Decrypt(iotest.OneByteReader(bytes.NewReader(vector(t, name))), cert, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(r, want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReaderSaysWhyItCannotOpen(t *testing.T) {
	cert, key := alice(t)
	other := people()[0]
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"sealed for another", vector(t, "notforalice.der"), smime.ErrNotRecipient},
		{"triple DES", vector(t, "des3.der"), smime.ErrUnsupported},
		{"a mail", []byte("Subject: hello\nContent-Type: text/plain\n\nhello\n"), smime.ErrUnsupported},
		{"a zip", []byte("PK\x03\x04 and so on"), smime.ErrMalformed},
		{"a certificate", cert.Raw, smime.ErrMalformed},
		{"nothing", nil, smime.ErrTruncated},
		{"trailing bytes", append(vector(t, "aes256.der"), 0), smime.ErrMalformed},
		{"damaged base64", bytes.Replace(vector(t, "cms.p7m"), []byte("\n\nMII"), []byte("\n\nM#I"), 1), smime.ErrMalformed},
	} {
		if _, err := open(c.data, cert, key); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := open(vector(t, "aes256.der"), cert, other.key); !errors.Is(err, smime.ErrKeyMismatch) {
		t.Errorf("another's key: got %v", err)
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	cert, key := alice(t)
	for _, name := range []string{"aes256.der", "three.der", "stream.der", "cms.p7m", "cms-stream.p7m", "crlf.p7m", "gcm.der", "oaep.der"} {
		message := vector(t, name)
		// The line ends after base64 carry nothing, and mail programs drop them.
		for n := range len(bytes.TrimRight(message, "\r\n")) {
			if _, err := open(message[:n], cert, key); !errors.Is(err, smime.ErrMalformed) {
				t.Fatalf("%s cut to %d of %d bytes: got %v", name, n, len(message), err)
			}
		}
	}
}

func TestTruncationInsideTheMessageIsCalledThat(t *testing.T) {
	cert, key := alice(t)
	message := vector(t, "aes256.der")
	if _, err := open(message[:len(message)-1], cert, key); !errors.Is(err, smime.ErrTruncated) {
		t.Errorf("got %v, want %v", err, smime.ErrTruncated)
	}
}

func TestFailureOfTheSourceIsNotCalledATruncation(t *testing.T) {
	cert, key := alice(t)
	lost := errors.New("connection lost")
	for _, name := range []string{"aes256.der", "cms.p7m"} {
		message := vector(t, name)
		for _, n := range []int{0, 10, 100, len(message) - 20} {
			src := io.MultiReader(bytes.NewReader(message[:n]), iotest.ErrReader(lost))
			r, err := smime.Decrypt(src, cert, key)
			if err == nil {
				_, err = io.ReadAll(r)
			}
			if !errors.Is(err, lost) || errors.Is(err, smime.ErrMalformed) {
				t.Errorf("%s after %d bytes: got %v", name, n, err)
			}
		}
	}
}

func TestFlippedBytesNeverPanicAndDamagedPaddingIsOneError(t *testing.T) {
	cert, key := alice(t)
	want := vector(t, "content.txt")
	for _, name := range []string{"aes256.der", "stream.der", "cms.p7m", "gcm.der", "oaep.der"} {
		original := vector(t, name)
		for i := range original {
			message := bytes.Clone(original)
			message[i] ^= 1 << (i % 8)
			if got, err := open(message, cert, key); err == nil && len(got) > len(want)+16 {
				t.Errorf("%s, byte %d: %d bytes came out of %d", name, i, len(got), len(want))
			}
		}
	}
	// The last byte of the block before the last flips the last byte of padding.
	message := vector(t, "aes256.der")
	message[len(message)-17] ^= 0x80
	if _, err := open(message, cert, key); err != smime.ErrDecrypt {
		t.Errorf("padding: got %v", err)
	}
}

func TestWrongContentKeyLooksLikeAnyOtherDamage(t *testing.T) {
	// A wrapped key that does not unwrap: PKCS#1 padding fails inside. The
	// random key that replaces it makes good padding once in 256 times.
	p := people()[0]
	message := seal(t, random(1000), smime.DER, p.cert)
	i := bytes.Index(message, []byte{0x04, 0x82, 0x01, 0x00}) // encryptedKey
	message[i+200] ^= 1
	for range 20 {
		if _, err := open(message, p.cert, p.key); err != nil && err != smime.ErrDecrypt {
			t.Fatalf("got %v", err)
		}
	}
}

func TestLimitsHoldAgainstHostileStructure(t *testing.T) {
	cert, key := alice(t)
	nested := bytes.Repeat([]byte{0x24, 0x80}, 1000)
	stream := vector(t, "stream.der")
	at := bytes.Index(stream, []byte{0xa0, 0x80, 0x04}) + 2
	for name, message := range map[string][]byte{
		"octet strings a thousand deep": append(bytes.Clone(stream[:at]), nested...),
		"a length of 2^63":              {0x30, 0x88, 0x80, 0, 0, 0, 0, 0, 0, 0},
		"a length of nine octets":       {0x30, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0},
		"an object of 1 GiB":            {0x30, 0x80, 0x06, 0x84, 0x40, 0, 0, 0},
		"an indefinite primitive":       {0x30, 0x80, 0x06, 0x80},
		"endless headers":               append([]byte("a: b\n"), bytes.Repeat([]byte("a: b\n"), 20000)...),
		"an endless header line":        append([]byte("a: "), bytes.Repeat([]byte("b"), 200000)...),
	} {
		if _, err := open(message, cert, key); !errors.Is(err, smime.ErrMalformed) || errors.Is(err, smime.ErrTruncated) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestMemoryDoesNotGrowWithTheMessage(t *testing.T) {
	p := people()[0]
	const size = 64 << 20
	pr, pw := io.Pipe()
	go func() {
		w, err := smime.Encrypt(pw, smime.Options{ContentSize: size}, p.cert)
		if err == nil {
			block := make([]byte, 1<<20)
			for range size / len(block) {
				w.Write(block)
			}
			err = w.Close()
		}
		pw.CloseWithError(err)
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := smime.Decrypt(pr, p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); n != size || err != nil {
		t.Fatalf("opened %d bytes of %d, error %v", n, size, err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("sealing and opening %d bytes allocated %d", size, got)
	}
}
