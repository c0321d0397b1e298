package connect

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// still is short, so that a transfer can take many times as long.
const still = time.Second

func TestASlowUploadIsHealthyAndOneThatStandsIsNot(t *testing.T) {
	const size = 40 << 20 // far more than what the sockets on the way hold
	released := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		piece, n := make([]byte, size/40), 0
		for {
			k, err := io.ReadFull(r.Body, piece)
			n += k
			if err != nil {
				break
			}
			if r.URL.Path == "/stands" {
				<-released
				return
			}
			time.Sleep(still / 10) // in all four times what it may stand still
		}
		if n != size {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	server.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
	}
	server.Start()
	defer func() { close(released); server.Close() }()
	client := &http.Client{Transport: &http.Transport{DialContext: movingDialer(still)}}
	put := func(path string) (*http.Response, error) {
		return client.Post(server.URL+path, "", bytes.NewReader(make([]byte, size)))
	}

	began := time.Now()
	answer, err := put("/slow")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("a slow upload was cut off after %s: %v, %v", time.Since(began), answer, err)
	}
	_ = answer.Body.Close()
	if took := time.Since(began); took < 2*still {
		t.Fatalf("the slow upload took only %s", took)
	}
	if answer, err := put("/stands"); err == nil {
		_ = answer.Body.Close()
		t.Errorf("an upload that stands ended with %s", answer.Status)
	}
}

func TestAnAnswerThatStandsStillIsGivenUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = conn.Write([]byte("begun"))
			defer conn.Close()
			_, _ = io.Copy(io.Discard, conn) // until the other side gives up
		}
	}()
	conn, err := movingDialer(still)(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := io.ReadAll(conn); !errors.Is(err, os.ErrDeadlineExceeded) || string(got) != "begun" {
		t.Errorf("read %q, %v", got, err)
	}
}
