-- Statements of the actions.

-- record_request --
INSERT INTO request (kind, who, at, selector, result) VALUES ($1, $2, ledger_now(), $3, $4) RETURNING id;

-- unpark --
-- Unpark windows; null matches all. $5 are models, and of the time from $6 to $7 whole slots.
WITH chosen AS MATERIALIZED (
    SELECT m.id, m.project, m.name,
           tstzrange(date_bin(m.slot, $6::timestamptz, 'epoch'),
                     date_bin(m.slot, $7::timestamptz - interval '1 microsecond', 'epoch') + m.slot) AS range
    FROM model m
    WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2) AND ($5::bigint[] IS NULL OR m.id = ANY ($5))
),
cut AS (
    UPDATE parked p SET windows = p.windows - tstzmultirange(c.range) FROM chosen c
    WHERE p.model_id = c.id AND ($3::text IS NULL OR p.reason = $3) AND ($4::text IS NULL OR p.tags @> ARRAY[$4])
      AND p.windows && c.range AND NOT p.windows <@ c.range
    RETURNING c.project, c.name AS model, p.reason
),
gone AS (
    DELETE FROM parked p USING chosen c
    WHERE p.model_id = c.id AND ($3::text IS NULL OR p.reason = $3) AND ($4::text IS NULL OR p.tags @> ARRAY[$4])
      AND p.windows <@ c.range
    RETURNING c.project, c.name AS model, p.reason
)
SELECT * FROM gone UNION ALL SELECT * FROM cut;

-- count_retried --
-- What a retry would try again; null matches all. The digest changes with the models and causes, and not while more
-- windows of the same are parked.
WITH chosen AS MATERIALIZED (
    SELECT m.id, m.project, m.name,
           tstzrange(date_bin(m.slot, $6::timestamptz, 'epoch'),
                     date_bin(m.slot, $7::timestamptz - interval '1 microsecond', 'epoch') + m.slot) AS range
    FROM model m
    WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2) AND ($5::bigint[] IS NULL OR m.id = ANY ($5))
),
retried AS (
    SELECT m.id, m.project, m.name, 'parked' AS state, p.reason,
           (SELECT count(*) FROM unnest(p.windows * tstzmultirange(m.range))) AS windows
    FROM parked p JOIN chosen m ON m.id = p.model_id
    WHERE ($3::text IS NULL OR p.reason = $3) AND ($4::text IS NULL OR p.tags @> ARRAY[$4]) AND p.windows && m.range
    UNION ALL
    SELECT m.id, m.project, m.name, 'waiting', 'retry', 1
    FROM task t JOIN chosen m ON m.id = t.model_id
    WHERE t.state = 'waiting' AND ($3::text IS NULL OR $3 = 'retry') AND $4::text IS NULL AND t.span && m.range
    UNION ALL
    SELECT DISTINCT m.id, m.project, m.name, 'silent', 'no_readings', 1
    FROM slot_exception e JOIN chosen m ON m.id = e.model_id
    WHERE e.slots && m.range
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
WHERE state = 'unusable' AND ($1::text IS NULL OR project = $1) AND ($2::text IS NULL OR name = $2)
  AND ($3::bigint[] IS NULL OR id = ANY ($3));

-- end_waiting --
-- End the back-off of waiting tasks, whose reason is retry; of models $4, and of the time from $5 to $6.
UPDATE task t SET not_before = ledger_now() FROM model m
WHERE m.id = t.model_id AND t.state = 'waiting'
  AND ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
  AND ($3::text IS NULL OR $3 = 'retry') AND ($4::bigint[] IS NULL OR m.id = ANY ($4))
  AND t.span && tstzrange($5::timestamptz, $6::timestamptz)
RETURNING t.id;

-- lock_lacking --
-- Models with slots that lack readings, of this sensor ($4) or of any, and their coverage: in the order of `settle_lock`.
SELECT c.model_id FROM coverage c JOIN model m ON m.id = c.model_id
WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
  AND coalesce($3, 'no_readings') = 'no_readings' AND ($5::bigint[] IS NULL OR m.id = ANY ($5))
  AND EXISTS (SELECT FROM slot_exception e WHERE e.model_id = c.model_id
              AND e.slots && tstzrange($6::timestamptz, $7::timestamptz)
              AND CASE WHEN $4::text IS NULL THEN e.state = 'absent' AND e.tags <> '{}' ELSE e.tags @> ARRAY[$4] END)
ORDER BY c.model_id FOR UPDATE OF c;

-- recheck_lacking --
-- Their slots that lack readings ($2: of this sensor; null: of any) in the time from $3 to $4 are due now; others of the same
-- rows keep their time. Rows that differed in nothing but the time of the next look become one.
WITH clock AS MATERIALIZED (SELECT ledger_now() AS at),
gone AS (
    DELETE FROM slot_exception e USING model m
    WHERE m.id = e.model_id AND e.model_id = ANY ($1::bigint[]) AND e.slots && tstzrange($3::timestamptz, $4::timestamptz)
      AND CASE WHEN $2::text IS NULL THEN e.state = 'absent' AND e.tags <> '{}' ELSE e.tags @> ARRAY[$2] END
    RETURNING e.*, tstzmultirange(tstzrange(date_bin(m.slot, $3::timestamptz, 'epoch'),
                                            date_bin(m.slot, $4::timestamptz - interval '1 microsecond', 'epoch') + m.slot)) AS range
),
parts AS (
    SELECT g.model_id, g.state, g.reason, g.looks, clock.at AS next_look, g.slots * g.range AS slots, g.tags FROM gone g, clock
    UNION ALL
    SELECT g.model_id, g.state, g.reason, g.looks, g.next_look, g.slots - g.range, g.tags FROM gone g
    WHERE NOT isempty(g.slots - g.range)
)
INSERT INTO slot_exception AS x (model_id, state, reason, looks, next_look, slots, tags)
SELECT p.model_id, p.state, p.reason, p.looks, p.next_look, range_agg(stretch),
       ARRAY(SELECT DISTINCT tag FROM parts o CROSS JOIN LATERAL unnest(o.tags) AS tag
             WHERE (o.model_id, o.state, o.reason, o.looks, o.next_look) = (p.model_id, p.state, p.reason, p.looks, p.next_look))
FROM parts p CROSS JOIN LATERAL unnest(p.slots) AS stretch
GROUP BY p.model_id, p.state, p.reason, p.looks, p.next_look
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
