package smime_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"io"
	"testing"

	"cdds/pipeline/smime"
)

const benchSize = 16 << 20

// BenchmarkCBC is the bare cipher: what sealing is measured against.
func BenchmarkCBC(b *testing.B) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	cbc := cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize))
	buf := make([]byte, 64<<10)
	b.SetBytes(benchSize)
	for b.Loop() {
		for range benchSize / len(buf) {
			cbc.CryptBlocks(buf, buf)
		}
	}
}

func BenchmarkEncrypt(b *testing.B) {
	cert, _ := alice(b)
	content := make([]byte, 1<<20)
	for name, encoding := range encodings {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				w, err := smime.Encrypt(io.Discard, smime.Options{Encoding: encoding, ContentSize: benchSize}, cert)
				if err != nil {
					b.Fatal(err)
				}
				for range benchSize / len(content) {
					w.Write(content)
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecrypt(b *testing.B) {
	cert, key := alice(b)
	for name, encoding := range encodings {
		message := seal(b, make([]byte, benchSize), encoding, cert)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				r, err := smime.Decrypt(bytes.NewReader(message), cert, key)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, r); n != benchSize || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
