-- Statements that several stores share.

-- clock --
-- The ledger's time, and the database's own.
SELECT ledger_now() AS ledger, clock_timestamp() AS database;

-- identity --
SELECT id, incarnation FROM ledger_identity;

-- circuits --
SELECT downstream, reason, alarm, opened_at, pause, probe_at, probe_at <= ledger_now() AS probe_due FROM circuit
ORDER BY downstream;

-- finish_tasks --
-- A finished task leaves the table of work that is out and becomes history. What other claims on it may still write is
-- repaired after a while ($7); the last one has ended, if the task was settled.
WITH gone AS (
    DELETE FROM task t
    USING unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::interval[])
          AS s (id, outcome, reason, detail, rows, covered)
    WHERE t.id = s.id
    RETURNING t.*, s.outcome, s.reason, s.detail AS said, s.rows, s.covered
),
unended AS (
    INSERT INTO repair (model_id, task_id, claim, due_at, slots)
    SELECT g.model_id, g.id, writer, ledger_now() + $7::interval, tstzmultirange(g.span)
    FROM gone g CROSS JOIN LATERAL unnest(g.writers) AS writer
    WHERE g.state <> 'claimed' OR writer <> g.claim
    ON CONFLICT DO NOTHING
)
INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, reason, detail, attempts, starts, rows,
                          covered, claimed_by, planned_at, claimed_at, settled_at)
SELECT g.id, g.model_id, m.revision, g.epoch, g.span, g.lane, g.outcome, g.reason, g.said, g.attempts, g.starts, g.rows,
       g.covered, g.claimed_by, g.planned_at, g.claimed_at, ledger_now()
FROM gone g JOIN model m ON m.id = g.model_id;

-- park --
-- With and_before, whatever is missing before the window is parked with it.
INSERT INTO parked AS p (model_id, revision, reason, detail, windows, since, version, tags)
SELECT s.model_id, s.revision, s.reason, s.detail,
       range_agg(s.span) + coalesce(range_agg(tstzmultirange(tstzrange(m.since, greatest(m.since, lower(s.span)))) - c.covered)
                                    FILTER (WHERE s.and_before), '{}'),
       ledger_now(), $8, ARRAY(SELECT jsonb_array_elements_text(s.tags::jsonb))
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::tstzrange[], $6::boolean[], $7::text[])
     AS s (model_id, revision, reason, detail, span, and_before, tags)
JOIN model m ON m.id = s.model_id JOIN coverage c ON c.model_id = s.model_id
GROUP BY s.model_id, s.revision, s.reason, s.detail, s.tags
ON CONFLICT (model_id, revision, reason)
DO UPDATE SET windows = p.windows + excluded.windows, detail = excluded.detail, version = excluded.version,
              tags = excluded.tags;
