// Package clients tests other people's clients: what ops/docs/clients.md shows, block by
// block, and what ops/docs/ciphers.md says who opens. `make client-tools` installs them;
// what is missing is skipped.
package clients
