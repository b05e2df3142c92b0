-- Statements that several stores share.

-- clock --
-- The ledger's time, and the database's own.
SELECT ledger_now() AS ledger, clock_timestamp() AS database;

-- outstanding --
-- Counts of outstanding tasks and of those settled in the last two minutes; the newest envelope that all executors read.
SELECT count(*) FILTER (WHERE state <> 'waiting') AS outstanding,
       count(*) FILTER (WHERE state <> 'waiting' AND lane = 'live') AS live,
       count(*) FILTER (WHERE state <> 'waiting' AND lane = 'backfill') AS backfill,
       count(*) FILTER (WHERE state <> 'waiting' AND lane = 'repair') AS repair,
       count(*) FILTER (WHERE state <> 'waiting' AND lane = 'manual') AS manual,
       count(*) FILTER (WHERE state = 'waiting') AS waiting,
       count(*) FILTER (WHERE state = 'planned') AS unpublished,
       EXISTS (SELECT FROM model WHERE stale_metadata AND model.state IN ('active', 'disabled', 'unusable'))
           AS stale_metadata,
       (SELECT min(envelope_high) FROM executor WHERE seen_at > ledger_now() - interval '2 minutes') AS readable,
       (SELECT count(*) FROM task_history WHERE settled_at > ledger_now() - interval '2 minutes') AS settled
FROM task;

-- projects --
SELECT name, revision, models, listed_at, error, doubted_since, doubted_models, accept_loss FROM project ORDER BY name;
