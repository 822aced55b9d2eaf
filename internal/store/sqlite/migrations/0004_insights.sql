-- What pages and the read API ask of patterns: more filters and orders, counts, words.

-- '' or 0 where the document has no such field.
ALTER TABLE failure_patterns ADD COLUMN trigger_label TEXT NOT NULL DEFAULT ''; -- normalised, as labels are compared
ALTER TABLE failure_patterns ADD COLUMN service_name TEXT NOT NULL DEFAULT '';
ALTER TABLE failure_patterns ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE failure_patterns ADD COLUMN run_id TEXT NOT NULL DEFAULT '';
ALTER TABLE failure_patterns ADD COLUMN confidence REAL NOT NULL DEFAULT 0;
ALTER TABLE failure_patterns ADD COLUMN verified INTEGER NOT NULL DEFAULT 0; -- has a verified quote
ALTER TABLE failure_patterns ADD COLUMN severity_rank INTEGER NOT NULL
    GENERATED ALWAYS AS (CASE severity WHEN 'critical' THEN 3 WHEN 'high' THEN 2 WHEN 'medium' THEN 1 ELSE 0 END) VIRTUAL;

UPDATE failure_patterns SET
    -- Labels are stored tidy: normalising them further is lowering their case.
    trigger_label = lower(coalesce(doc ->> '$.trigger_condition', '')),
    service_name = coalesce(doc ->> '$.provenance.service_name', ''),
    model = coalesce(doc ->> '$.provenance.model', ''),
    run_id = coalesce(doc ->> '$.provenance.run_id', ''),
    confidence = coalesce(doc ->> '$.confidence', 0),
    verified = EXISTS (SELECT 1 FROM json_each(doc, '$.evidence.refs') r WHERE r.value ->> '$.verified');

-- A list in the order of time reads the index alone until a pattern passes all filters,
-- so that rare combinations do not read every document on the way. It takes the place
-- of a narrower one.
DROP INDEX failure_patterns_newest;
CREATE INDEX failure_patterns_newest ON failure_patterns (extracted_at, trace_id,
    failure_type, severity, trigger_label, service_name, model, run_id, confidence, verified, fingerprint);
CREATE INDEX failure_patterns_confidence ON failure_patterns (confidence, extracted_at, trace_id,
    failure_type, severity, trigger_label, service_name, model, run_id, verified, fingerprint);
CREATE INDEX failure_patterns_severity_rank ON failure_patterns (severity_rank, extracted_at, trace_id,
    failure_type, severity, trigger_label, service_name, model, run_id, confidence, verified, fingerprint);
CREATE INDEX failure_patterns_trigger ON failure_patterns (trigger_label, extracted_at, trace_id);
CREATE INDEX failure_patterns_run ON failure_patterns (run_id, extracted_at, trace_id);

-- How many patterns each day has, kept by triggers: overviews count a year's patterns.
CREATE TABLE pattern_days (
    day          TEXT NOT NULL, -- of extracted_at
    fingerprint  TEXT NOT NULL,
    failure_type TEXT NOT NULL,
    severity     TEXT NOT NULL,
    n            INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (day, fingerprint, failure_type, severity)
) STRICT, WITHOUT ROWID;

INSERT INTO pattern_days
    SELECT substr(extracted_at, 1, 10), fingerprint, failure_type, severity, count(*) FROM failure_patterns GROUP BY 1, 2, 3, 4;

-- The words of patterns. The text itself is in the documents; what is deleted there is
-- deleted here, not only marked (secure-delete).
CREATE VIEW pattern_search AS
    SELECT p.rowid AS rowid,
        p.trace_id || ' ' || coalesce(p.doc ->> '$.title', '') || ' ' || coalesce(p.doc ->> '$.trigger_condition', '') || ' ' ||
        coalesce(p.doc ->> '$.summary', '') || ' ' || coalesce(p.doc ->> '$.root_cause_hypothesis', '') || ' ' ||
        coalesce(p.doc ->> '$.failing_step.name', '') || ' ' || coalesce(p.doc ->> '$.failing_step.agent', '') || ' ' ||
        coalesce((SELECT group_concat(j.value, ' ') FROM json_each(p.doc, '$.reproduction_context.tools_involved') j), '') || ' ' ||
        coalesce((SELECT group_concat(j.value, ' ') FROM json_each(p.doc, '$.recommended_actions') j), '') || ' ' ||
        coalesce((SELECT group_concat(j.value, ' ') FROM json_each(p.doc, '$.evidence.signals') j), '') AS text
    FROM failure_patterns p;

CREATE VIRTUAL TABLE pattern_text USING fts5(text, content='pattern_search', detail=column, columnsize=0, tokenize="unicode61 remove_diacritics 0");
INSERT INTO pattern_text (pattern_text, rank) VALUES ('secure-delete', 1);
INSERT INTO pattern_text (rowid, text) SELECT rowid, text FROM pattern_search;

CREATE TRIGGER failure_patterns_inserted AFTER INSERT ON failure_patterns BEGIN
    INSERT INTO pattern_days VALUES (substr(new.extracted_at, 1, 10), new.fingerprint, new.failure_type, new.severity, 1)
        ON CONFLICT DO UPDATE SET n = n + 1;
    INSERT INTO pattern_text (rowid, text) SELECT rowid, text FROM pattern_search WHERE rowid = new.rowid;
END;

CREATE TRIGGER failure_patterns_updating BEFORE UPDATE ON failure_patterns BEGIN
    INSERT INTO pattern_text (pattern_text, rowid, text) SELECT 'delete', rowid, text FROM pattern_search WHERE rowid = old.rowid;
END;

CREATE TRIGGER failure_patterns_updated AFTER UPDATE ON failure_patterns BEGIN
    UPDATE pattern_days SET n = n - 1
        WHERE day = substr(old.extracted_at, 1, 10) AND fingerprint = old.fingerprint AND failure_type = old.failure_type AND severity = old.severity;
    DELETE FROM pattern_days
        WHERE day = substr(old.extracted_at, 1, 10) AND fingerprint = old.fingerprint AND failure_type = old.failure_type AND severity = old.severity AND n = 0;
    INSERT INTO pattern_days VALUES (substr(new.extracted_at, 1, 10), new.fingerprint, new.failure_type, new.severity, 1)
        ON CONFLICT DO UPDATE SET n = n + 1;
    INSERT INTO pattern_text (rowid, text) SELECT rowid, text FROM pattern_search WHERE rowid = new.rowid;
END;

CREATE TRIGGER failure_patterns_deleting BEFORE DELETE ON failure_patterns BEGIN
    INSERT INTO pattern_text (pattern_text, rowid, text) SELECT 'delete', rowid, text FROM pattern_search WHERE rowid = old.rowid;
    UPDATE pattern_days SET n = n - 1
        WHERE day = substr(old.extracted_at, 1, 10) AND fingerprint = old.fingerprint AND failure_type = old.failure_type AND severity = old.severity;
    DELETE FROM pattern_days
        WHERE day = substr(old.extracted_at, 1, 10) AND fingerprint = old.fingerprint AND failure_type = old.failure_type AND severity = old.severity AND n = 0;
END;
