package tables

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func TestAnInsertThatIsNeverAnsweredIsGivenUpSoThatItCanBeTriedAgain(t *testing.T) {
	ended := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ended }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(ended) })
	conn, err := clickhouse.Open(&clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{silent.Listener.Addr().String()}, ReadTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	db := New(conn)
	db.insertTimeout = 50 * time.Millisecond
	err = db.InsertSelect(t.Context(), "numbers", "n", "SELECT 1")
	if err == nil || !strings.Contains(err.Error(), "insert into numbers") || !strings.Contains(err.Error(), "did not store the rows within 50ms") {
		t.Errorf("it says %v", err)
	}
}
