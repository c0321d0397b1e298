//go:build !receiver

package cli

import (
	"errors"
	"log/slog"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/tracing"
	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/ledger"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
)

// services are the clients a command uses.
type services struct {
	config    config.Config
	kafka     []kgo.Opt
	client    *kgo.Client
	admin     *kadm.Client
	conn      driver.Conn
	tables    *tables.Database
	ledger    *ledger.Ledger
	warehouse *warehouse.Warehouse
	bucket    *bucket.Bucket
	offsets   *connect.Offsets
	traces    *tracing.Traces // nil where nothing is traced
}

// connectAll makes clients of all services; they connect on first use.
func connectAll(c config.Config) (*services, error) {
	opts, err := connect.Kafka(c.Kafka, "cli", nil)
	if err != nil {
		return nil, err
	}
	store, err := connect.Bucket(c.S3)
	if err != nil {
		return nil, err
	}
	conn, err := connect.ClickHouse(c.ClickHouse)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	traces, err := tracing.Start(c.Tracing, tracing.Process{Name: "cli"}, slog.Default())
	if err != nil {
		return nil, err
	}
	db := tables.New(conn).OnCluster(c.ClickHouse.Cluster)
	rows := warehouse.New(db)
	settler := consumers.NewSettler(consumers.SettlerOptions{
		Brokers: consumers.Kafka(client), Decisions: pipeline.Incarnations{Store: store, Copies: rows}, Name: "cdds " + whoami(),
	})
	return &services{
		config: c,
		traces: traces, offsets: connect.NewOffsets(consumers.Kafka(client), settler), kafka: append(opts, traces.Kafka("cli")...), client: client, admin: kadm.NewClient(client),
		conn: conn, tables: db, warehouse: rows, ledger: ledger.New(db), bucket: store,
	}, nil
}

func (s *services) close() error {
	s.client.Close()
	return errors.Join(s.conn.Close(), s.traces.Close())
}

// connect finds the running system and makes clients of its services.
func (s *session) connect() (*services, error) {
	c, err := s.find()
	if err != nil {
		return nil, err
	}
	return connectAll(c)
}
