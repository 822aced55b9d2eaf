// Package store holds what every store adapter does alike: the checks that keep
// malformed documents and requests out, the JSON text of documents, and the cursors
// of lists. The adapters are in the folders below it, each named after its technology;
// package storetest is what they all must pass.
package store
