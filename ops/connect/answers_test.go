package connect_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/pipeline/answer"
)

func TestWhatClickHouseAnswersHasItsMeaningWhateverWasAsked(t *testing.T) {
	for code, want := range map[string]answer.Meaning{"62": answer.Permanent, "60": answer.Mendable, "241": answer.Passing} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("X-ClickHouse-Exception-Code", code)
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "Code: "+code+". DB::Exception: a test. (A_TEST)")
		}))
		defer server.Close()
		conn, err := connect.ClickHouse(config.ClickHouse{Addr: []string{server.Listener.Addr().String()}, Username: "u", Database: "d"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, query := conn.Query(t.Context(), "SELECT 1")
		_, format := conn.QueryFormat(t.Context(), "TSVRaw", "SELECT 1")
		_, batch := conn.PrepareBatch(t.Context(), "INSERT INTO t")
		var n int
		for of, err := range map[string]error{
			"Query": query, "QueryFormat": format, "PrepareBatch": batch, "Exec": conn.Exec(t.Context(), "SELECT 1"), "Ping": conn.Ping(t.Context()),
			"QueryRow": conn.QueryRow(t.Context(), "SELECT 1").Scan(&n), "Select": conn.Select(t.Context(), &[]int{}, "SELECT 1"),
		} {
			if err == nil || answer.Of(err) != want {
				t.Errorf("code %s to %s means %d (%v), want %d", code, of, answer.Of(err), err, want)
			}
		}
	}
}
