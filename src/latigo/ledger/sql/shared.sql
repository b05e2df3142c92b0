-- Statements that several stores share.

-- clock --
-- The ledger's time, and the database's own.
SELECT ledger_now() AS ledger, clock_timestamp() AS database;

-- hold_lease --
-- Checked in every planning transaction; no row: the lease is lost. The lock prevents that another scheduler acquires the lease before
-- the transaction ends.
SELECT term FROM planner WHERE holder = $1 AND term = $2 AND lease_until > ledger_now() FOR SHARE;

-- identity --
SELECT id, incarnation FROM ledger_identity;

-- circuits --
SELECT downstream, reason, alarm, opened_at, pause, probe_at, probe_at <= ledger_now() AS probe_due,
       probe_at <= ledger_now() - interval '1 hour' AS is_abandoned
FROM circuit ORDER BY downstream;

-- limits --
-- Limits that were changed at run time.
SELECT name, value FROM runtime_limit;

-- finish_tasks --
-- A finished task leaves the table of work that is out and becomes history. What other claims on it may still write is
-- repaired after a while ($9); the last one has ended, if the task was settled, unless its write may still arrive.
WITH gone AS (
    DELETE FROM task t
    USING unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::interval[], $7::bytea[],
                 $8::boolean[])
          AS s (id, outcome, reason, detail, rows, covered, receipt, may_arrive)
    WHERE t.id = s.id
    RETURNING t.*, s.outcome, s.reason, s.detail AS said, s.rows, s.covered, s.receipt, s.may_arrive
),
unended AS (
    INSERT INTO repair (model_id, task_id, claim, due_at, slots)
    SELECT g.model_id, g.id, writer, ledger_now() + $9::interval, tstzmultirange(g.span)
    FROM gone g CROSS JOIN LATERAL unnest(g.writers) AS writer
    WHERE g.state <> 'claimed' OR writer <> g.claim OR g.may_arrive
    ON CONFLICT DO NOTHING
),
failed AS (
    UPDATE request r SET failures = r.failures + f.windows
    FROM (SELECT request_id, count(*) AS windows FROM gone
          WHERE request_id IS NOT NULL AND outcome IN ('rejected', 'crashed') GROUP BY request_id) f
    WHERE r.id = f.request_id
)
INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, reason, detail, attempts, starts, rows,
                          covered, claimed_by, planned_at, claimed_at, settled_at, receipt)
SELECT g.id, g.model_id, m.revision, g.epoch, g.span, g.lane, g.outcome, g.reason, g.said, g.attempts, g.starts, g.rows,
       g.covered, g.claimed_by, g.planned_at, g.claimed_at, ledger_now(), g.receipt
FROM gone g JOIN model m ON m.id = g.model_id;

-- park --
-- With and_before, whatever is missing before the window is parked with it.
INSERT INTO parked AS p (model_id, revision, reason, detail, windows, since, version, tags)
SELECT s.model_id, s.revision, s.reason, s.detail,
       s.spans + CASE WHEN s.newest > m.since THEN tstzmultirange(tstzrange(m.since, s.newest)) - c.covered ELSE '{}' END,
       ledger_now(), $8, ARRAY(SELECT jsonb_array_elements_text(s.tags::jsonb))
FROM (SELECT n.model_id, n.revision, n.reason, n.detail, n.tags, range_agg(n.span) AS spans,
             max(lower(n.span)) FILTER (WHERE n.and_before) AS newest
      FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::tstzrange[], $6::boolean[], $7::text[])
           AS n (model_id, revision, reason, detail, span, and_before, tags)
      GROUP BY n.model_id, n.revision, n.reason, n.detail, n.tags) s
JOIN model m ON m.id = s.model_id JOIN coverage c ON c.model_id = s.model_id
ON CONFLICT (model_id, revision, reason)
DO UPDATE SET windows = p.windows + excluded.windows, detail = excluded.detail, version = excluded.version,
              tags = excluded.tags;

-- withdraw_tasks --
-- Tasks ($1) that no executor has claimed. A claimed one ends by itself. What other claims may still write is repaired after
-- a while ($2). Tasks that are being settled are skipped, against deadlocks.
WITH gone AS (
    DELETE FROM task t
    USING (SELECT o.id FROM task o WHERE o.id = ANY ($1::bigint[]) AND o.state <> 'claimed' FOR UPDATE SKIP LOCKED) free
    WHERE t.id = free.id
    RETURNING t.*
),
unended AS (
    INSERT INTO repair (model_id, task_id, claim, due_at, slots)
    SELECT g.model_id, g.id, writer, ledger_now() + $2::interval, tstzmultirange(g.span)
    FROM gone g CROSS JOIN LATERAL unnest(g.writers) AS writer
    ON CONFLICT DO NOTHING
)
SELECT id FROM gone;

-- tasks_not_requested --
-- Of requests that have ended.
SELECT t.id FROM task t JOIN request r ON r.id = t.request_id
WHERE t.state <> 'claimed' AND r.state NOT IN ('active', 'paused');

-- tasks_of_paused --
-- Those in these states ($1) of what is paused.
SELECT id, is_kept FROM task_pause WHERE state = ANY ($1::text[]) AND paused_by IS NOT NULL;

-- let_wait --
-- Tasks ($1) that no executor has claimed give way to others, and keep their starts and attempts. Tasks that are being
-- settled are skipped, against deadlocks.
UPDATE task t SET state = 'waiting', channel = '', not_before = ledger_now(), probe = false
FROM (
    SELECT o.id FROM task o WHERE o.id = ANY ($1::bigint[]) AND o.state IN ('planned', 'published') FOR UPDATE SKIP LOCKED
) unlocked
WHERE t.id = unlocked.id;

-- release_holds --
-- Models that were held for a downstream ($1) may be planned again. Models that are being settled are skipped: waiting
-- for them could deadlock with their batch.
UPDATE coverage c SET hold_until = NULL
FROM (SELECT model_id FROM coverage WHERE hold_until > ledger_now() AND held_for = $1 FOR UPDATE SKIP LOCKED) held
WHERE c.model_id = held.model_id;
