-- The collections of the document contract, one table each: doc is the stored document
-- as JSON text, the other columns are what it is found by. Timestamps are text in the
-- one layout of the contract, in which they sort; '' is "never".

PRAGMA application_id = 1163281222; -- "EVFF"; tells an EvalForge file from any other

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE raw_traces (
    trace_id     TEXT PRIMARY KEY,
    digest       TEXT NOT NULL, -- of what an analyzer is given
    processed_at TEXT NOT NULL, -- '' while unprocessed
    doc          TEXT NOT NULL
) STRICT;

-- One row per raw trace, in a table of its own: it changes with every claim, and must
-- not drag a document of up to megabytes along.
--
-- status is where in the queue the trace stands:
--   ready        waits to be claimed, oldest fetched_at first
--   parked       leased or backing off, until due_at; the first claim after that makes it ready
--   quarantined  out of the queue until it is retried by hand or changed
--   processed    done
-- So a claim reads the head of the ready ones and never those that cannot be claimed.
CREATE TABLE extraction_state (
    trace_id         TEXT PRIMARY KEY REFERENCES raw_traces (trace_id) ON DELETE CASCADE,
    status           TEXT NOT NULL CHECK (status IN ('ready', 'parked', 'quarantined', 'processed')),
    fetched_at       TEXT NOT NULL,
    run_id           TEXT NOT NULL DEFAULT '',   -- of the last claim
    runs             TEXT NOT NULL DEFAULT '[]', -- the last claims' run ids, a JSON list
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    lease_owner      TEXT NOT NULL DEFAULT '',
    lease_token      TEXT NOT NULL DEFAULT '',
    lease_until      TEXT NOT NULL DEFAULT '',
    retry_at         TEXT NOT NULL DEFAULT '',
    quarantined_at   TEXT NOT NULL DEFAULT '',
    last_error       TEXT NOT NULL DEFAULT '',
    last_error_type  TEXT NOT NULL DEFAULT '',
    extracted_digest TEXT NOT NULL DEFAULT '',
    updated_at       TEXT NOT NULL DEFAULT '',   -- '' if never claimed
    due_at           TEXT NOT NULL GENERATED ALWAYS AS (CASE WHEN lease_token <> '' THEN lease_until ELSE retry_at END) VIRTUAL
) STRICT, WITHOUT ROWID;

CREATE INDEX extraction_state_queue ON extraction_state (status, fetched_at, trace_id) WHERE status <> 'processed';
CREATE INDEX extraction_state_waiting ON extraction_state (status, due_at, lease_token, fetched_at) WHERE due_at <> '';
CREATE INDEX extraction_state_updated ON extraction_state (updated_at, trace_id) WHERE updated_at <> '';
CREATE INDEX extraction_state_quarantined ON extraction_state (updated_at, trace_id) WHERE status = 'quarantined';

-- How many traces stand where, kept by triggers: counting a year's processed traces on
-- every health check would be slow.
CREATE TABLE backlog (
    status TEXT PRIMARY KEY,
    n      INTEGER NOT NULL CHECK (n >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO backlog VALUES ('ready', 0), ('parked', 0), ('quarantined', 0), ('processed', 0);

CREATE TRIGGER extraction_state_inserted AFTER INSERT ON extraction_state BEGIN
    UPDATE backlog SET n = n + 1 WHERE status = new.status;
END;

CREATE TRIGGER extraction_state_moved AFTER UPDATE OF status ON extraction_state WHEN old.status <> new.status BEGIN
    UPDATE backlog SET n = n - 1 WHERE status = old.status;
    UPDATE backlog SET n = n + 1 WHERE status = new.status;
END;

CREATE TRIGGER extraction_state_deleted AFTER DELETE ON extraction_state BEGIN
    UPDATE backlog SET n = n - 1 WHERE status = old.status;
END;

CREATE TABLE failure_patterns (
    trace_id     TEXT PRIMARY KEY,
    extracted_at TEXT NOT NULL,
    failure_type TEXT NOT NULL,
    severity     TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    doc          TEXT NOT NULL
) STRICT;

CREATE INDEX failure_patterns_newest ON failure_patterns (extracted_at, trace_id);
CREATE INDEX failure_patterns_failure_type ON failure_patterns (failure_type, extracted_at, trace_id);
CREATE INDEX failure_patterns_severity ON failure_patterns (severity, extracted_at, trace_id);
CREATE INDEX failure_patterns_fingerprint ON failure_patterns (fingerprint, extracted_at, trace_id);

CREATE TABLE extraction_runs (
    run_id     TEXT PRIMARY KEY,
    started_at TEXT NOT NULL,
    doc        TEXT NOT NULL
) STRICT;

CREATE INDEX extraction_runs_newest ON extraction_runs (started_at, run_id);

CREATE TABLE extraction_errors (
    id          TEXT PRIMARY KEY, -- run_id:trace_id
    run_id      TEXT NOT NULL,
    trace_id    TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    doc         TEXT NOT NULL
) STRICT;

CREATE INDEX extraction_errors_newest ON extraction_errors (recorded_at, id);
CREATE INDEX extraction_errors_run ON extraction_errors (run_id, recorded_at, id);
CREATE INDEX extraction_errors_trace ON extraction_errors (trace_id, recorded_at, id);
