package main

import (
	"io"
	"net"
	"testing"
	"time"
)

func TestMinutesOfRulesLastLess(t *testing.T) {
	const rules = "expr: rate(a[5m]) > 3600 and b[1h] and c[30s]\nfor: 10m\nsummary: in 5m"
	if got, want := shortened(rules, 2*time.Second), "expr: rate(a[10000ms]) > 3600 and b[120000ms] and c[30s]\nfor: 20000ms\nsummary: in 5m"; got != want {
		t.Errorf("the rules are %s", got)
	}
	if got := shortened(rules, time.Minute); got != "expr: rate(a[300000ms]) > 3600 and b[3600000ms] and c[30s]\nfor: 600000ms\nsummary: in 5m" {
		t.Errorf("with whole minutes the rules are %s", got)
	}
}

func TestADoorThatIsShutEndsConnectionsAndLetsNoneIn(t *testing.T) {
	d, err := newDoor("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Listener.Close()
	go func() {
		for {
			c, err := d.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	visit := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", d.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	echoes := func(c net.Conn) bool {
		b := make([]byte, 2)
		_, _ = c.Write([]byte("hi"))
		_, err := io.ReadFull(c, b)
		return err == nil
	}
	before := visit()
	if !echoes(before) {
		t.Fatal("an open door lets nobody in")
	}
	d.close()
	if echoes(before) || echoes(visit()) {
		t.Error("somebody is still inside")
	}
	d.open()
	if !echoes(visit()) {
		t.Error("the door stays shut")
	}
}
