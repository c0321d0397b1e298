package connect

import (
	"context"
	"errors"
	"io"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/minio/minio-go/v7"
	"github.com/twmb/franz-go/pkg/kerr"

	"cdds/pipeline/answer"
)

// meaningOf is the meaning of an error of any client, and whether it is an answer of a
// service at all.
func meaningOf(err error) (m answer.Meaning, answered bool) {
	var exception *clickhouse.Exception
	var s3 minio.ErrorResponse
	var kafka *kerr.Error
	var said *answer.Error
	switch {
	case errors.As(err, &said):
		return said.Meaning, true
	case errors.As(err, &exception):
		return answer.ClickHouse(exception.Code), true
	case errors.As(err, &s3) && s3.StatusCode != 0:
		return answer.S3(s3.StatusCode, s3.Code), true
	case errors.As(err, &kafka):
		return answer.Kafka(kafka.Code), true
	}
	return answer.Passing, false
}

// meant attaches to the errors of ClickHouse's client what they mean.
type meant struct{ driver.Conn }

func meaning(err error) error {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return &answer.Error{Service: "ClickHouse", Meaning: answer.ClickHouse(exception.Code), Err: err}
	}
	return err
}

func (c meant) Select(ctx context.Context, dest any, query string, args ...any) error {
	return meaning(c.Conn.Select(ctx, dest, query, args...))
}

func (c meant) Query(ctx context.Context, query string, args ...any) (driver.Rows, error) {
	rows, err := c.Conn.Query(ctx, query, args...)
	if err != nil {
		return nil, meaning(err)
	}
	return meantRows{rows}, nil
}

func (c meant) QueryRow(ctx context.Context, query string, args ...any) driver.Row {
	return meantRow{c.Conn.QueryRow(ctx, query, args...)}
}

func (c meant) Exec(ctx context.Context, query string, args ...any) error {
	return meaning(c.Conn.Exec(ctx, query, args...))
}

func (c meant) PrepareBatch(ctx context.Context, query string, opts ...driver.PrepareBatchOption) (driver.Batch, error) {
	batch, err := c.Conn.PrepareBatch(ctx, query, opts...)
	if err != nil {
		return nil, meaning(err)
	}
	return meantBatch{batch}, nil
}

func (c meant) InsertFormat(ctx context.Context, format, query string, data io.Reader) error {
	return meaning(c.Conn.InsertFormat(ctx, format, query, data))
}

func (c meant) QueryFormat(ctx context.Context, format, query string, args ...any) (io.ReadCloser, error) {
	r, err := c.Conn.QueryFormat(ctx, format, query, args...)
	if err != nil {
		return nil, meaning(err)
	}
	return meantStream{r}, nil
}

func (c meant) Ping(ctx context.Context) error { return meaning(c.Conn.Ping(ctx)) }

type meantRows struct{ driver.Rows }

func (r meantRows) Scan(dest ...any) error { return meaning(r.Rows.Scan(dest...)) }
func (r meantRows) Err() error             { return meaning(r.Rows.Err()) }
func (r meantRows) Close() error           { return meaning(r.Rows.Close()) }

type meantRow struct{ driver.Row }

func (r meantRow) Scan(dest ...any) error { return meaning(r.Row.Scan(dest...)) }
func (r meantRow) Err() error             { return meaning(r.Row.Err()) }

type meantBatch struct{ driver.Batch }

func (b meantBatch) Send() error { return meaning(b.Batch.Send()) }

type meantStream struct{ io.ReadCloser }

func (s meantStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, meaning(err)
}
