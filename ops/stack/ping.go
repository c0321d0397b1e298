package stack

import (
	"context"
	"net"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/twmb/franz-go/pkg/kgo"
)

// listening saves the clients, which retry on their own, the time before a
// child listens.
func listening(ctx context.Context, addr string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}

func (e Endpoints) pingKafka(ctx context.Context) error {
	if err := listening(ctx, e.Kafka[0]); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(e.Kafka...))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

func (e Endpoints) pingClickHouse(ctx context.Context) error {
	if err := listening(ctx, e.ClickHouse.Addr); err != nil {
		return err
	}
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP,
		Addr:     []string{e.ClickHouse.Addr},
		Auth: clickhouse.Auth{
			Database: e.ClickHouse.Database,
			Username: e.ClickHouse.Username,
			Password: e.ClickHouse.Password,
		},
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return conn.Ping(ctx)
}

func (e Endpoints) pingS3(ctx context.Context) error {
	if err := listening(ctx, e.S3.Endpoint); err != nil {
		return err
	}
	client, err := minio.New(e.S3.Endpoint, &minio.Options{
		Creds:  credentials.NewStaticV4(e.S3.AccessKey, e.S3.SecretKey, ""),
		Region: e.S3.Region,
		Secure: e.S3.Secure,
	})
	if err != nil {
		return err
	}
	_, err = client.ListBuckets(ctx)
	return err
}
