package app_test

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/app"
	"cdds/ops/config"
)

func TestAWebPortThatAnotherProcessHasIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", config.DefaultWebListen); err == nil { // else somebody has it already
		defer l.Close()
	}
	c := config.Default()
	c.Kafka.Brokers, c.ClickHouse.Addr, c.S3.Endpoint = []string{"127.0.0.1:1"}, []string{"127.0.0.1:1"}, "127.0.0.1:1"
	c.S3.AccessKey, c.S3.SecretKey = "a", "s"
	a, err := app.New(app.Options{Config: c, Roles: []string{"web"}, Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})
	if err == nil {
		_ = a.Close()
		t.Fatalf("the web is at %s instead", a.WebURL())
	}
	for _, want := range []string{config.DefaultWebListen, "another process", "CDDS_WEB_LISTEN"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
