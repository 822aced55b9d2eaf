package cli

// The documentation of the settings is written by its own test.
//
//go:generate go test -run ^TestConfigDoc$ . -update
