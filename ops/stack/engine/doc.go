// Package engine is the ClickHouse of the embedded stack: libchdb, which is
// ClickHouse as a library, behind ClickHouse's HTTP interface, so that an
// unmodified clickhouse-go talks to it as to a server.
//
// It does what clients use: queries and INSERTs at /, parameters, settings per
// request, streaming with back-pressure, cancellation, exceptions in and after
// the headers, gzip both ways, basic authentication. It refuses sessions,
// external tables and LZ4 or ZSTD blocks, each with an error that says so.
//
// # Non-obvious
//
// The text of a query never holds data. libchdb cuts the text of an INSERT at
// the first empty line and executes what follows, so bodies reach the engine
// through a pipe, as a file, and text with data after FORMAT is refused.
//
// Every request has a connection of its own, opened and closed in 0.2 ms.
// Connections run one statement at a time, and what a request leaves behind (a
// setting, a database, a killed or half-read query) ends with its connection.
//
// A running query is stopped by KILL QUERY from the control connection;
// libchdb's own cancel waits for the lock the query holds.
//
// libchdb reads standard input before every INSERT, so it must be one that is at its end:
// on a pipe that stays open, two INSERTs at once can make one of them wait for ever.
//
// clickhouse-go decodes blocks at the revision the server announces in reply to
// its first query. That reply is made by hand and announces 0, which is what
// libchdb writes.
//
// Whoever may query may read and write this user's files, through file() and
// INFILE. The password is therefore random, and the port on loopback.
package engine
