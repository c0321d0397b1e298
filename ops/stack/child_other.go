//go:build !linux

package stack

import "syscall"

// childAttributes keep the terminal's signals from a child. It notices the end
// of its parent by the end of its standard input.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
