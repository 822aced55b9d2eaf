//go:build race

package trace

// allocSlack is what bounds on allocation are multiplied by: the race detector makes
// pools forget at random, and everything larger.
const allocSlack = 8
