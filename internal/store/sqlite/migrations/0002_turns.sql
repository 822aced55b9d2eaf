-- The order of claiming: fresh traces first, those tried before after them.
--
-- status is where in the queue the trace stands:
--   ready        fresh: no attempt is counted; by fetched_at
--   parked       tried before: leased, backing off, or waiting for its next turn; by due_at
--   quarantined  out of the queue until it is retried by hand or changed
--   processed    done
-- A lease that ended, or a backoff, needs no change of the row: due_at says it all.
--
-- ended is how the last lease that was committed or failed ended, and its token: by this
-- a repeated commit is known.

ALTER TABLE extraction_state ADD COLUMN ended TEXT NOT NULL DEFAULT '';

UPDATE extraction_state SET status = 'parked' WHERE status = 'ready' AND attempts > 0;
UPDATE extraction_state SET status = 'ready' WHERE status = 'parked' AND attempts = 0;

CREATE INDEX extraction_state_turns ON extraction_state (due_at, trace_id) WHERE status = 'parked';
