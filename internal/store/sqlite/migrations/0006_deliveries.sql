-- A request that comes again is answered by the run that it was answered by before.
CREATE INDEX extraction_runs_delivery ON extraction_runs (doc ->> '$.delivery.key', started_at, run_id)
    WHERE doc ->> '$.delivery.key' IS NOT NULL;
