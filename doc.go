// Package evalforge holds the domain of EvalForge.
package evalforge
