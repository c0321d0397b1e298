// Package simulate checks the account in histories that nobody thought of. One seed is one
// history: a list of acts of producers, operators, Kafka, ClickHouse and machines, with
// virtual time. The product's own code runs on a Kafka, a ClickHouse and a bucket in
// memory, and a scheduler decides which of its calls comes next, which fails and which
// comes late. After each history the laws of ops/docs/guarantees.md are checked against a
// model that shares no code with the product.
//
//	make simulate                 # five minutes, from a new seed
//	make simulate FOR=1h SEED=7   # an hour, from seed 7
//
// A history that breaks a law is shrunk to few acts and printed as a Go test. What is
// simulated is only as true as its parts: package pipelinetest holds the ClickHouse and
// the bucket in memory and the real ones to one contract; Kafka is modelled by this
// package, after franz-go and Kafka's documents (see cursor.go and member.go).
//
// To read it: grammar.go lists what can happen, laws.go what must hold, schedule.go how a
// seed decides every interleaving, model.go what is true.
package simulate
