package stack_test

import (
	"testing"
	"time"

	"cdds/ops/stack/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

func TestStackStarts(t *testing.T) {
	began := time.Now()
	s := stacktest.Start(t)
	t.Log(time.Since(began), s.Endpoints().Kafka, s.Pids())
}
