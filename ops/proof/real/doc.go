// Package real tests what only real services have: TLS, passwords and access lists, and
// several brokers of which one is lost. `make test-real` runs it, and with it the tests
// of the other packages on Apache Kafka and MinIO; without those it skips. With a ZooKeeper
// it tries every statement on replicated tables. Where
// CDDS_TEST_CLICKHOUSE is the URL of a ClickHouse server, http://user:password@host:8123,
// the tests use that instead of the embedded one, with databases of their own.
package real
