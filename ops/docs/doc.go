// Package docs is what people read to use and run CDDS. Its tests execute every command
// shown there and in the README, and follow every link.
package docs
