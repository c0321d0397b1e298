package engine_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"cdds/ops/stack"
	"cdds/ops/stack/stacktest"
)

// TestNoQueryIsCutShortQuietlyWhenTheEngineStops ends the engine in order while queries
// are answered. libchdb may end a query that was killed as if it had no more rows: an
// export would be planned, and signed, without them.
func TestNoQueryIsCutShortQuietlyWhenTheEngineStops(t *testing.T) {
	s := stacktest.Shared(t)
	check(t, s.Healthy(t.Context()))
	e := s.Endpoints().ClickHouse
	name := table(t, client(t), "n UInt64")
	const rows = 5_000
	check(t, client(t).Exec(t.Context(), "INSERT INTO "+name+" SELECT number FROM numbers(5000)"))
	queries := map[string]int{
		"SELECT n FROM " + name + " ORDER BY sipHash64(n) FORMAT TSVRaw":                                          rows,
		"SELECT n FROM " + name + " FORMAT TSVRaw":                                                                rows,
		"SELECT n FROM (SELECT n, n % 5000 AS k FROM " + name + " ORDER BY k, n DESC LIMIT 1 BY k) FORMAT TSVRaw": rows,
		"SELECT n % 1000 AS k, count() FROM " + name + " GROUP BY k ORDER BY k FORMAT TSVRaw":                     1000,
		"SELECT max(n) FROM " + name + " WHERE sipHash64(sipHash64(n)) % 3 < 3 FORMAT TSVRaw":                     1,
		"SELECT count() FROM " + name + " AS a JOIN " + name + " AS b USING (n) FORMAT TSVRaw":                    1,
	}
	ask := func(query string) (lines int, whole bool) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+e.Addr+"/", strings.NewReader(query))
		check(t, err)
		req.SetBasicAuth(e.Username, e.Password)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, false
		}
		defer res.Body.Close()
		content, err := io.ReadAll(res.Body)
		return bytes.Count(content, []byte("\n")), err == nil && res.StatusCode == http.StatusOK && !bytes.Contains(content, []byte("__exception__"))
	}
	for range 6 {
		var answered atomic.Int32
		enough := make(chan struct{})
		var asking sync.WaitGroup
		for query, want := range queries {
			for range 6 {
				asking.Go(func() {
					for {
						lines, whole := ask(query)
						if !whole {
							return
						}
						if lines != want {
							t.Errorf("%q has %d lines, want %d or an error", query, lines, want)
							return
						}
						if answered.Add(1) == 300 {
							close(enough)
						}
					}
				})
			}
		}
		<-enough
		check(t, syscall.Kill(s.Pids()[stack.ClickHouse], syscall.SIGTERM))
		asking.Wait()
		check(t, s.Healthy(t.Context()))
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
