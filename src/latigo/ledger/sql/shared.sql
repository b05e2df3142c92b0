-- Statements that several stores share.

-- clock --
-- The ledger's time beside the database's own.
SELECT ledger_now() AS ledger, clock_timestamp() AS database;

-- outstanding --
-- How much is out, how much was settled in the last two minutes, and the newest envelope that all executors can read.
SELECT count(*) FILTER (WHERE state <> 'waiting' AND lane = 'live') AS live,
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

-- finish_tasks --
-- A finished task leaves the table of work that is out and becomes history.
WITH gone AS (
    DELETE FROM task t
    USING unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::interval[])
          AS s (id, outcome, reason, detail, rows, covered)
    WHERE t.id = s.id
    RETURNING t.*, s.outcome, s.reason, s.detail AS said, s.rows, s.covered
)
INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, reason, detail, attempts, starts, rows,
                          covered, claimed_by, planned_at, claimed_at, settled_at)
SELECT g.id, g.model_id, m.revision, g.epoch, g.span, g.lane, g.outcome, g.reason, g.said, g.attempts, g.starts, g.rows,
       g.covered, g.claimed_by, g.planned_at, g.claimed_at, ledger_now()
FROM gone g JOIN model m ON m.id = g.model_id;

-- projects --
SELECT name, revision, models, listed_at, error, doubted_since, doubted_models, accept_loss FROM project ORDER BY name;
