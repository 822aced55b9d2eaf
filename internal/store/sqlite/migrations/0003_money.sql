-- What calls of models cost, what they answered, and what was replaced.

-- One row per budget: run/RUN_ID or day/YYYY-MM-DD. Open reservations are counted in it
-- at their worst case.
CREATE TABLE ledger_windows (
    name     TEXT PRIMARY KEY,
    nano_usd INTEGER NOT NULL CHECK (nano_usd >= 0), -- billionths of a US dollar
    tokens   INTEGER NOT NULL CHECK (tokens >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_reservations (
    id       TEXT NOT NULL,
    name     TEXT NOT NULL REFERENCES ledger_windows (name) ON DELETE CASCADE,
    at       TEXT NOT NULL,
    nano_usd INTEGER NOT NULL,
    tokens   INTEGER NOT NULL,
    PRIMARY KEY (name, id)
) STRICT, WITHOUT ROWID;

-- Answers of models, so that none is paid for twice.
CREATE TABLE answers (
    key      TEXT PRIMARY KEY,
    trace_id TEXT NOT NULL, -- whose analysis was paid for
    saved_at TEXT NOT NULL,
    doc      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_trace ON answers (trace_id);

-- Patterns that were replaced, n counting up per trace; 20 are kept.
CREATE TABLE pattern_history (
    trace_id TEXT NOT NULL,
    n        INTEGER NOT NULL,
    doc      TEXT NOT NULL,
    PRIMARY KEY (trace_id, n)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER failure_patterns_replaced AFTER UPDATE OF doc ON failure_patterns WHEN old.doc <> new.doc BEGIN
    INSERT INTO pattern_history (trace_id, n, doc)
        VALUES (old.trace_id, (SELECT coalesce(max(n), 0) + 1 FROM pattern_history WHERE trace_id = old.trace_id), old.doc);
    DELETE FROM pattern_history WHERE trace_id = old.trace_id
        AND n <= (SELECT max(n) FROM pattern_history WHERE trace_id = old.trace_id) - 20;
END;
