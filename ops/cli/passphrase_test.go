//go:build linux

package cli_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/youmark/pkcs8"
	"golang.org/x/sys/unix"
)

// terminalPair opens a terminal: what is written to screen is typed at keyboard.
func terminalPair(t *testing.T) (screen, keyboard *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no terminals here: ", err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	keyboard, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	return screen, keyboard
}

func TestAPassphraseIsAskedForAtTheTerminal(t *testing.T) {
	dir := t.TempDir()
	if code, _, stderr := run("keygen", "--out-cert", dir+"/cert.pem", "--out-key", dir+"/key.pem", "--bits", "2048"); code != 0 {
		t.Fatal(stderr)
	}
	plain, err := os.ReadFile(dir + "/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(plain)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	der, err := pkcs8.MarshalPrivateKey(key, []byte("open sesame"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/key.pem", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	for typed, says := range map[string]string{
		"open sesame":   "manifest.json", // the key is open, and there is no export in dir
		"close sesame!": "the passphrase does not open the key",
	} {
		screen, keyboard := terminalPair(t)
		cmd := command(t, "decrypt", dir, "--cert", dir+"/cert.pem", "--key", dir+"/key.pem", "--out", dir+"/plain")
		cmd.Stdin = keyboard
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		prompt := make([]byte, len("Passphrase of the key: "))
		if _, err := io.ReadFull(stderr, prompt); err != nil || string(prompt) != "Passphrase of the key: " {
			t.Fatalf("the prompt is %q, %v", prompt, err)
		}
		if _, err := screen.WriteString(typed + "\n"); err != nil {
			t.Fatal(err)
		}
		var rest bytes.Buffer
		_, _ = rest.ReadFrom(stderr)
		_ = cmd.Wait()
		if !strings.Contains(rest.String(), says) {
			t.Errorf("%q was typed: %s; want %q", typed, rest.String(), says)
		}
	}
}
