package stack

import "syscall"

// childAttributes make a child die with the thread that started it, and keep
// the terminal's signals from it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
