-- Statements of the actions.

-- record_request --
INSERT INTO request (kind, who, at, selector, result) VALUES ($1, $2, ledger_now(), $3, $4) RETURNING id;

-- unpark --
-- Unpark windows; null matches all.
DELETE FROM parked p USING model m
WHERE m.id = p.model_id AND ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
  AND ($3::text IS NULL OR p.reason = $3) AND ($4::text IS NULL OR p.tags @> ARRAY[$4])
RETURNING m.project, m.name AS model, p.reason;

-- count_retried --
-- What a retry would try again; null matches all. The digest changes with the models and causes, and not while more
-- windows of the same are parked.
WITH retried AS (
    SELECT m.id, m.project, m.name, 'parked' AS state, p.reason, (SELECT count(*) FROM unnest(p.windows)) AS windows
    FROM parked p JOIN model m ON m.id = p.model_id
    WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
      AND ($3::text IS NULL OR p.reason = $3) AND ($4::text IS NULL OR p.tags @> ARRAY[$4])
    UNION ALL
    SELECT m.id, m.project, m.name, 'waiting', 'retry', 1
    FROM task t JOIN model m ON m.id = t.model_id
    WHERE t.state = 'waiting' AND ($3::text IS NULL OR $3 = 'retry') AND $4::text IS NULL
      AND ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
    UNION ALL
    SELECT DISTINCT m.id, m.project, m.name, 'silent', 'no_readings', 1
    FROM slot_exception e JOIN model m ON m.id = e.model_id
    WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
      AND CASE WHEN $4::text IS NULL THEN $3 = 'no_readings' AND e.state = 'absent' AND e.tags <> '{}'
               ELSE coalesce($3, 'no_readings') = 'no_readings' AND e.tags @> ARRAY[$4] END
)
SELECT coalesce(sum(windows) FILTER (WHERE state = 'parked'), 0)::bigint AS windows,
       count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'silent') AS rechecked,
       count(DISTINCT id) AS models,
       left(encode(sha256(convert_to(coalesce(string_agg(DISTINCT concat_ws(E'\n', project, name, state, reason), E'\n\n'), ''),
                                     'UTF8')), 'hex'), 12) AS digest
FROM retried;

-- revive_models --
-- A model that could not be used is described again.
UPDATE model SET stale_metadata = true
WHERE state = 'unusable' AND ($1::text IS NULL OR project = $1) AND ($2::text IS NULL OR name = $2);

-- end_waiting --
-- End the back-off of waiting tasks, whose reason is retry.
UPDATE task t SET not_before = ledger_now() FROM model m
WHERE m.id = t.model_id AND t.state = 'waiting'
  AND ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
  AND ($3::text IS NULL OR $3 = 'retry')
RETURNING t.id;

-- lock_lacking --
-- Models with slots that lack readings, of this sensor ($4) or of any, and their coverage: in the order of `settle_lock`.
SELECT c.model_id FROM coverage c JOIN model m ON m.id = c.model_id
WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
  AND coalesce($3, 'no_readings') = 'no_readings'
  AND EXISTS (SELECT FROM slot_exception e WHERE e.model_id = c.model_id
              AND CASE WHEN $4::text IS NULL THEN e.state = 'absent' AND e.tags <> '{}' ELSE e.tags @> ARRAY[$4] END)
ORDER BY c.model_id FOR UPDATE OF c;

-- recheck_lacking --
-- Their slots that lack readings ($2: of this sensor; null: of any) are due now. Rows that differed in nothing but the time of
-- the next look become one.
WITH clock AS MATERIALIZED (SELECT ledger_now() AS at),
gone AS (
    DELETE FROM slot_exception e WHERE e.model_id = ANY ($1::bigint[])
      AND CASE WHEN $2::text IS NULL THEN e.state = 'absent' AND e.tags <> '{}' ELSE e.tags @> ARRAY[$2] END
    RETURNING *
)
INSERT INTO slot_exception AS x (model_id, state, reason, looks, next_look, slots, tags)
SELECT g.model_id, g.state, g.reason, g.looks, (SELECT at FROM clock), range_agg(stretch),
       ARRAY(SELECT DISTINCT tag FROM gone o CROSS JOIN LATERAL unnest(o.tags) AS tag
             WHERE (o.model_id, o.state, o.reason, o.looks) = (g.model_id, g.state, g.reason, g.looks))
FROM gone g CROSS JOIN LATERAL unnest(g.slots) AS stretch
GROUP BY g.model_id, g.state, g.reason, g.looks
ON CONFLICT (model_id, next_look, state, looks, reason) DO UPDATE SET slots = x.slots + excluded.slots;

-- end_silence --
UPDATE coverage SET silent_since = NULL WHERE model_id = ANY ($1::bigint[]);

-- accept_loss --
UPDATE project SET accept_loss = true WHERE name = $1 AND doubted_since IS NOT NULL RETURNING name;

-- accept_discovery_loss --
-- As if the list had stood long enough ($1).
UPDATE discovery SET quarantined_since = least(quarantined_since, ledger_now() - $1::interval)
WHERE quarantined_since IS NOT NULL RETURNING source;

-- lock_planner --
-- Waits for a planning transaction, and keeps the next one waiting.
SELECT FROM planner FOR UPDATE;

-- raise_incarnation --
-- By the clock, so that an incarnation is not used twice when the same backup is restored twice.
UPDATE ledger_identity SET incarnation = greatest(incarnation + 1, extract(epoch FROM ledger_now())::bigint)
RETURNING id, incarnation;

-- raise_task_numbers --
-- By the incarnation ($1), with room for a million tasks a second: above any number that was used after the backup. So
-- messages without an incarnation, and programs that compare numbers only, meet no task of another model either.
SELECT setval('task_id_seq', greatest((SELECT last_value FROM task_id_seq), $1::bigint * 1000000));

-- lock_tasks --
-- In the order of `settle_lock`.
SELECT FROM task ORDER BY model_id, id FOR UPDATE;

-- plan_again --
-- Outstanding tasks ($1; null: all) get new numbers, which ends their claims, and are published again. Those that were claimed
-- did not end their process: that start does not count.
UPDATE task
SET id = DEFAULT, state = CASE WHEN state = 'waiting' THEN state ELSE 'planned' END, channel = '', published_at = NULL,
    starts = CASE WHEN state = 'claimed' THEN greatest(starts - 1, 0) ELSE starts END,
    claimed_by = NULL, lease_until = NULL
WHERE $1::bigint[] IS NULL OR id = ANY ($1)
RETURNING state;

-- lock_selected --
-- The coverage of models, in the order of `settle_lock`; null matches all models of the project.
SELECT c.model_id FROM coverage c JOIN model m ON m.id = c.model_id
WHERE m.project = $1 AND ($2::text IS NULL OR m.name = $2) ORDER BY c.model_id FOR UPDATE OF c;

-- pause --
INSERT INTO pause (project, model, who, at, reason) VALUES ($1, coalesce($2, ''), $3, ledger_now(), $4)
ON CONFLICT (project, model) DO NOTHING;

-- paused_by --
SELECT who, at, reason FROM pause WHERE project = $1 AND model = coalesce($2, '');

-- resume --
-- Of a project, with those of its models.
DELETE FROM pause WHERE project = $1 AND ($2::text IS NULL OR model = $2) RETURNING model;

-- project_pause --
SELECT who, at, reason FROM pause WHERE project = $1 AND model = '';

-- apply_pauses --
-- Models that are paused or resumed by this.
UPDATE model m SET paused = NOT m.paused
WHERE m.project = $1 AND ($2::text IS NULL OR m.name = $2) AND m.paused <> is_paused(m.project, m.name)
RETURNING m.id;
