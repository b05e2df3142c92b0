-- Freshness of models, and sums over all slots: see the function `model_freshness`.

-- tally --
-- Locked: who counts holds the lease to plan, and each moment is counted once.
SELECT counted_until, ledger_now() AS at FROM tally FOR UPDATE;

-- service --
-- What is known of the service: executors that start tasks, whether all of them have as many as they take, and whether the
-- queue is unreachable for the scheduler or for all executors. One that is drained starts none.
SELECT e.executors, e.saturated,
       NOT EXISTS (SELECT FROM queue_outage WHERE role = 'scheduler' AND seen_at > ledger_now() - interval '1 minute')
           AND (o.executors = 0 OR o.executors < e.running) AS queue_reachable
FROM (SELECT count(*) AS running, count(*) FILTER (WHERE drained_at IS NULL) AS executors,
             coalesce(bool_and(in_flight >= concurrency) FILTER (WHERE drained_at IS NULL), false) AS saturated
      FROM executor WHERE seen_at > ledger_now() - interval '1 minute') e,
     (SELECT count(*) AS executors FROM queue_outage
      WHERE role = 'executor' AND seen_at > ledger_now() - interval '1 minute') o;

-- groups --
-- Models that count, by project and, if they are stale ($1: the objective), by what is known of why. Projects ($2) and
-- models ($4) that are not planned because of the open circuit of a system ($3, $5). A live task that waits for another
-- attempt has failed in a stage.
WITH live AS (
    SELECT model_id, bool_or(state = 'claimed') AS claimed, bool_or(state IN ('planned', 'published')) AS queued,
           CASE max(split_part(detail, ':', 1)) FILTER (WHERE state = 'waiting')
                WHEN 'read' THEN 'sensors' WHEN 'predict' THEN 'gordo' WHEN 'write' THEN 'sink' END AS failed
    FROM task WHERE lane = 'live' GROUP BY model_id
),
known AS (
    SELECT f.project, f.stale, f.stale_since AS since, f.slot_missing, f.held_by_parked AS parked,
           CASE WHEN f.stale THEN coalesce(m.system, p.system) END AS blocked,
           CASE WHEN f.stale THEN coalesce(f.failed, CASE WHEN NOT l.claimed AND NOT l.queued THEN l.failed END) END AS failed,
           CASE WHEN NOT f.stale THEN 'none' WHEN l.claimed THEN 'claimed' WHEN l.queued THEN 'queued' ELSE 'none' END AS task
    FROM model_freshness($1) f
    LEFT JOIN live l ON l.model_id = f.model_id
    LEFT JOIN unnest($2::text[], $3::text[]) AS p (project, system) ON p.project = f.project
    LEFT JOIN unnest($4::bigint[], $5::text[]) AS m (id, system) ON m.id = f.model_id
    WHERE f.counts
)
SELECT project, stale, since, slot_missing, parked, blocked, failed, task, count(*) AS models
FROM known GROUP BY project, stale, since, slot_missing, parked, blocked, failed, task;

-- add --
WITH added AS (
    SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::interval[]) AS n (period, project, outcome, model_time)
),
summed AS (
    INSERT INTO freshness_total AS t (project, outcome, model_time)
    SELECT project, outcome, sum(model_time) FROM added GROUP BY project, outcome
    ON CONFLICT (project, outcome) DO UPDATE SET model_time = t.model_time + excluded.model_time
)
INSERT INTO freshness AS f (period, project, outcome, model_time)
SELECT period, project, outcome, model_time FROM added
ON CONFLICT (period, project, outcome) DO UPDATE SET model_time = f.model_time + excluded.model_time;

-- trim --
-- What began before $1, and what of the sums is only of then.
WITH gone AS (
    DELETE FROM freshness WHERE period < $1 RETURNING project, outcome, model_time
)
UPDATE freshness_total t SET model_time = t.model_time - g.model_time
FROM (SELECT project, outcome, sum(model_time) AS model_time FROM gone GROUP BY project, outcome) g
WHERE t.project = g.project AND t.outcome = g.outcome;

-- delete_empty_totals --
DELETE FROM freshness_total WHERE model_time <= interval '0';

-- counted --
UPDATE tally SET counted_until = $1, stale = $2;

-- slot_totals --
SELECT project, kind, models, slots, calls FROM slot_total_now;

-- forget_totals --
DELETE FROM slot_total;

-- keep_totals --
INSERT INTO slot_total (project, kind, models, slots, calls)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::float8[], $5::float8[]);

-- summed --
UPDATE tally SET summed_at = $1, summed_until = ledger_now() + $2::interval;
