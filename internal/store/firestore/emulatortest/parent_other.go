//go:build !linux

package emulatortest

import "os/exec"

// dieWithParent needs Linux; elsewhere [Emulator.Main] ends the process.
func dieWithParent(*exec.Cmd) {}
