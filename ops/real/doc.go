// Package real tests what only real services have: TLS, passwords and access lists, and
// several brokers of which one is lost. `make test-real` runs it, and with it the tests
// of the other packages on Apache Kafka and MinIO; without those it skips.
package real
