package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The functions count, are, were and have write a number with its noun: "1 trace",
// "2 traces are".

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func are(n int, one, many string) string  { return count(n, one+" is", many+" are") }
func were(n int, one, many string) string { return count(n, one+" was", many+" were") }
func have(n int, one, many string) string { return count(n, one+" has", many+" have") }

// tally writes counts by kind, the largest first: "12 email, 3 phone".
func tally(counts map[string]int) string {
	if len(counts) == 0 {
		return "nothing"
	}
	kinds := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	parts := make([]string, len(kinds))
	for i, k := range kinds {
		parts[i] = fmt.Sprintf("%d %s", counts[k], strings.ReplaceAll(strings.ToLower(k), "_", " "))
	}
	return strings.Join(parts, ", ")
}
