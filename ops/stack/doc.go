// Package stack is the embedded stack: Kafka, ClickHouse and S3 as three child
// processes of the same binary on loopback, with their data under one
// directory. It is what `cdds up` uses where no endpoints are configured, and
// what integration tests run against.
//
//	kafka       franz-go's kfake with a data directory   package broker
//	clickhouse  libchdb behind ClickHouse's HTTP port    package engine
//	s3          versitygw over plain files               package objects
//
// CDDS_STACK_KAFKA_LIBS and CDDS_STACK_MINIO put Apache Kafka (package apache) and MinIO
// in their place: everything that runs on the embedded stack then runs on those, tests
// and chaos included. `make test-real` does.
//
// They are processes and not goroutines because each can take its process
// down or over: libchdb is half a gigabyte of C++ that may run out of memory,
// versitygw changes the working directory, kfake reads all its segments at the
// start. A child that ends is started again on the same port, with the same
// credentials and data.
//
// # Non-obvious
//
// A child is this executable with the argument __stack, so main and every
// TestMain must call [ChildMain] first. Start refuses to run in a process that
// was meant to be a child and did not.
//
// Secrets reach a child as the first line of its standard input, never as
// arguments or environment. The input then stays open: its end tells the child
// to stop, also when this process was killed. On Linux the kernel kills the
// children too (Pdeathsig); as that signal is tied to the thread that forked,
// each child is forked and awaited on a thread of its own. A child reads it from another
// descriptor than 0, which libchdb plays with.
//
// Each port is bound, but not listened on, by this process for as long as the
// stack is open. So while a child restarts, no outgoing connection can be given
// its port, and a client that retries cannot connect to itself.
package stack
