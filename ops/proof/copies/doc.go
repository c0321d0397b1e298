// Package copies proves what a receiver relies on: whatever ends `cdds sync`, its copy is
// that of some run, whole, and goes on to be that of the last; and everybody who reads the
// copy reads the same.
package copies
