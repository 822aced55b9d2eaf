//go:build !race

package trace

const allocSlack = 1
