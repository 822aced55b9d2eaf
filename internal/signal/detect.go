package signal

import "github.com/evalforge/evalforge/internal/trace"

// Detect returns the signals of t, and of hint, ingestion's free-text failure type, in order of precedence: the first that carries a
// FailureType and a weight of at least 0.5 decides.
func Detect(t *trace.Trace, hint string) []Signal { return nil }
