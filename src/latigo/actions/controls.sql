-- What people change at run time: limits, executors, circuits, tasks and dismissed failures.

-- set_limit --
-- Who has set a value, when and why stays when it is set again.
INSERT INTO runtime_limit (name, value, who, at, reason) VALUES ($1, $2, $3, ledger_now(), $4)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, who = excluded.who, at = excluded.at, reason = excluded.reason
WHERE runtime_limit.value <> excluded.value;

-- end_limits --
DELETE FROM runtime_limit WHERE name = ANY ($1::text[]) RETURNING name;

-- running_executors --
SELECT id FROM executor WHERE seen_at > ledger_now() - interval '1 minute' ORDER BY id;

-- drain_executor --
-- One that is drained already keeps who, when and why; that it stops can be added. The row has the order before.
UPDATE executor e
SET drained_at = coalesce(o.drained_at, ledger_now()), drain_stops = o.drain_stops OR $4,
    drained_by = CASE WHEN o.drained_at IS NULL THEN $2 ELSE o.drained_by END,
    drain_reason = CASE WHEN o.drained_at IS NULL THEN $3 ELSE o.drain_reason END
FROM (SELECT * FROM executor WHERE id = $1 FOR UPDATE) o WHERE e.id = o.id
RETURNING e.in_flight, e.drain_stops AS stops, o.drained_by AS who, o.drained_at AS at, o.drain_reason AS reason;

-- resume_executor --
UPDATE executor SET drained_at = NULL, drained_by = '', drain_reason = '', drain_stops = false
WHERE id = $1 AND drained_at IS NOT NULL RETURNING id;

-- probe_now --
UPDATE circuit SET probe_at = ledger_now() WHERE downstream = $1;

-- select_held --
-- Tasks that are in a queue or that an executor has: of models ($1), of an executor ($2) and in a lane ($3); null matches all.
-- Locked in the order of `settle_lock`.
SELECT t.id, m.project, m.name AS model, t.span, t.lane, t.state, coalesce(t.claimed_by, '') AS executor
FROM task t JOIN model m ON m.id = t.model_id
WHERE t.state IN ('published', 'claimed') AND ($1::bigint[] IS NULL OR t.model_id = ANY ($1))
  AND ($2::text IS NULL OR (t.state = 'claimed' AND t.claimed_by = $2)) AND ($3::text IS NULL OR t.lane = $3)
ORDER BY t.model_id, t.id FOR UPDATE OF t;

-- all_models --
SELECT id, project, name FROM model;

-- newest_slot --
-- The newest due slot of a model, and what keeps it from being predicted.
SELECT m.id, m.epoch, known_state(m.state, m.paused, m.missing_since) AS state, m.since, date_bin(m.slot, ledger_now() - m.delay, 'epoch') - m.slot AS low,
       date_bin(m.slot, ledger_now() - m.delay, 'epoch') AS high
FROM model m WHERE m.project = $1 AND m.name = $2;

-- tasks_of_model --
SELECT id, span, lane, state, starts, must_be_kept(starts, attempts, stored_in) AS is_kept, coalesce(claimed_by, '') AS executor
FROM task WHERE model_id = $1;

-- unpark_window --
UPDATE parked SET windows = windows - tstzmultirange(tstzrange($2, $3)) WHERE model_id = $1 AND windows && tstzrange($2, $3);

-- delete_unparked --
DELETE FROM parked WHERE model_id = $1 AND isempty(windows);

-- shorten_tasks --
-- Tasks ($1) that no executor has claimed end at $2, and give way to others. They get new numbers, since messages have their windows
-- of before. What other claims may still write of those is repaired after a while ($3). Tasks that are being settled are
-- skipped, against deadlocks.
WITH shortened AS (
    UPDATE task t
    SET id = DEFAULT, span = tstzrange(lower(t.span), $2), state = 'waiting', channel = '', published_at = NULL, probe = false,
        not_before = greatest(t.not_before, ledger_now()), writers = '{}'
    FROM (SELECT o.* FROM task o WHERE o.id = ANY ($1::bigint[]) AND o.state <> 'claimed' FOR UPDATE SKIP LOCKED) was
    WHERE t.id = was.id
    RETURNING was.model_id, was.id, was.writers, was.span
)
INSERT INTO repair (model_id, task_id, claim, due_at, slots)
SELECT s.model_id, s.id, writer, ledger_now() + $3::interval, tstzmultirange(s.span)
FROM shortened s CROSS JOIN LATERAL unnest(s.writers) AS writer
ON CONFLICT DO NOTHING;

-- plan_by_hand --
-- In lane live, since it is the newest slot. Where the lane is taken, it waits for its end. $6: starts of what it replaces, which
-- may have killed a process.
INSERT INTO task (model_id, epoch, span, lane, state, planned_at, not_before, starts)
VALUES ($1, $2, tstzrange($3, $4), 'live', $5, ledger_now(), CASE WHEN $5::text = 'waiting' THEN ledger_now() END, $6)
RETURNING id;

-- select_failures --
-- The failures of models that are not dismissed; null matches all.
SELECT count(DISTINCT (f.model_id, f.reason)) AS failures, count(DISTINCT f.model_id) AS models,
       left(encode(sha256(convert_to(coalesce(
           string_agg(DISTINCT concat_ws(E'\n', f.project, f.model, f.revision, f.reason), E'\n\n'), ''), 'UTF8')), 'hex'), 12)
           AS digest
FROM failing f
WHERE f.model_id IS NOT NULL AND NOT is_dismissed(f.model_id, f.revision, f.reason)
  AND ($1::text IS NULL OR f.project = $1) AND ($2::text IS NULL OR f.model = $2)
  AND ($3::text IS NULL OR f.reason = $3) AND ($4::text IS NULL OR f.tags @> ARRAY[$4]);

-- dismiss --
INSERT INTO dismissal (model_id, revision, reason, who, at, note)
SELECT DISTINCT f.model_id, f.revision, f.reason, $5, ledger_now(), $6
FROM failing f
WHERE f.model_id IS NOT NULL AND NOT is_dismissed(f.model_id, f.revision, f.reason)
  AND ($1::text IS NULL OR f.project = $1) AND ($2::text IS NULL OR f.model = $2)
  AND ($3::text IS NULL OR f.reason = $3) AND ($4::text IS NULL OR f.tags @> ARRAY[$4])
ON CONFLICT DO NOTHING;

-- select_dismissed --
-- What is dismissed, whether or not it fails still; null matches all.
SELECT count(*) AS failures, count(DISTINCT d.model_id) AS models,
       left(encode(sha256(convert_to(coalesce(
           string_agg(concat_ws(E'\n', m.project, m.name, d.revision, d.reason), E'\n\n' ORDER BY m.project, m.name, d.revision, d.reason),
           ''), 'UTF8')), 'hex'), 12) AS digest
FROM dismissal d JOIN model m ON m.id = d.model_id AND m.revision = d.revision
WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2) AND ($3::text IS NULL OR d.reason = $3)
  AND ($4::text IS NULL OR EXISTS (SELECT FROM failing f WHERE f.model_id = d.model_id AND f.revision = d.revision
                                   AND f.reason = d.reason AND f.tags @> ARRAY[$4]));

-- end_dismissals --
DELETE FROM dismissal d USING model m
WHERE m.id = d.model_id AND m.revision = d.revision
  AND ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2) AND ($3::text IS NULL OR d.reason = $3)
  AND ($4::text IS NULL OR EXISTS (SELECT FROM failing f WHERE f.model_id = d.model_id AND f.revision = d.revision
                                   AND f.reason = d.reason AND f.tags @> ARRAY[$4]));
