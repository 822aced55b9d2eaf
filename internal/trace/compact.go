package trace

// MaxBytes is the hard bound on what is sent of one trace: 100 KiB.
const MaxBytes = 102_400

// A Compacted is a trace rendered for an analyzer.
type Compacted struct {
	// JSON is at most the budget given to [Compact], valid JSON and valid UTF-8. Strings
	// are written without HTML escaping. Each step carries its [Step.Index] as "i".
	JSON []byte
	// BytesCut counts content bytes that were cut from strings, StepsOmitted the steps
	// that were left out; both are 0 when nothing was lost.
	BytesCut     int
	StepsOmitted int
}
