// Package evalforge holds the domain of EvalForge: raw traces, failure patterns, runs
// and errors, as they are stored and exchanged, with their validation and JSON Schema.
// It does no I/O.
//
// EvalForge turns failed traces of LLM applications into structured failure patterns:
// what happened, why, what to do about it, how sure, and on what evidence.
//
// # Code tour
//
// What follows is the path of one trace, package by package, in reading order.
//
// A trace begins as a file. internal/ingest reads files, directories and standard input,
// has internal/trace split them into single traces, redacts each payload, and puts it
// into a store as a [RawTrace]. Other services may write raw traces too: the documents
// are a contract.
//
// "evalforge run" (internal/cli) opens a store and an analyzer and calls
// [internal/extract.Engine.Run], the one engine function behind every way to start a
// run. The engine claims due traces one after the other, fresh ones first, under leases, and
// takes each through a Pipeline:
//
//   - internal/redact replaces secrets and personal data in the whole document, before
//     anything is cut, sent, stored or logged;
//   - internal/trace decodes the payload, whatever its format, into one model of ordered
//     steps, and compacts it under an exact bound for the analyzer;
//   - internal/signal finds what can be said without a model: loops, errors, calls of
//     tools that do not exist;
//   - an Analyzer writes an [Analysis]: internal/rules from the signals alone, offline
//     and free, or internal/gemini by asking a model, with the files of
//     internal/extract/prompts;
//   - the pipeline validates the analysis, checks every quote against exactly what was
//     sent, and redacts every field again.
//
// The engine then commits [Pattern], the trace's processed flag and the lease in one
// transaction, fenced by the lease's token; or it records why not, and the trace comes
// back later, or is quarantined. internal/extract/store.go is the contract, with
// internal/store/sqlite, internal/store/firestore and internal/store/memory behind it, held
// to it by one conformance suite, internal/store/storetest.
//
// A model is asked only when it is worth it: internal/pace keeps calls within a quota, the
// store's ledger reserves the worst case of each before it is made, and kept answers serve
// the copies of a failure (internal/extract: turns, reuse).
//
// "evalforge serve" puts the same engine behind HTTP. internal/server has one table of
// routes (server.go): the API, the receiver of OTLP (internal/server/otlp), which assembles
// traces from spans and keeps the failed ones, and the pages (internal/server/pages). What
// holds for all of them is in chain.go. internal/server/auth says who may use a route,
// internal/server/runner makes the runs and tells who watches. internal/gcp has what is
// Google's: secrets, the layout of logs, telemetry. deploy/terraform puts it all on Cloud Run.
//
// internal/eval scores all this on labelled cases; [Samples] has some.
package evalforge
