package app

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// keyPair is a certificate and its key in files that are replaced while the process runs.
// It is safe for concurrent use.
type keyPair struct {
	certFile, keyFile string
	log               *slog.Logger

	mu    sync.Mutex
	pair  *tls.Certificate
	state [2]fileState
}

// fileState tells whether a file was replaced.
type fileState struct {
	changed time.Time
	size    int64
}

// loadKeyPair reads both files, which must belong together.
func loadKeyPair(certFile, keyFile string, log *slog.Logger) (*keyPair, error) {
	k := &keyPair{certFile: certFile, keyFile: keyFile, log: log}
	k.state = k.look()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	k.pair = &pair
	return k, nil
}

// certificate is for tls.Config.GetCertificate: each handshake has the pair that the files
// hold now. While they hold none, as between the writes of two files, the last one serves.
func (k *keyPair) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.look()
	if now == k.state {
		return k.pair, nil
	}
	k.state = now
	pair, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		k.log.Warn("the web certificate changed and cannot be used; the one before serves on", "file", k.certFile, "error", err)
		return k.pair, nil
	}
	k.pair = &pair
	k.log.Info("the web certificate was replaced", "file", k.certFile, "not_after", pair.Leaf.NotAfter)
	return k.pair, nil
}

func (k *keyPair) look() (state [2]fileState) {
	for n, name := range []string{k.certFile, k.keyFile} {
		if info, err := os.Stat(name); err == nil {
			state[n] = fileState{info.ModTime(), info.Size()}
		}
	}
	return state
}
