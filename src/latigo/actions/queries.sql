-- Statements of the actions.

-- record_request --
INSERT INTO request (kind, who, at, selector, result) VALUES ($1, $2, ledger_now(), $3, $4) RETURNING id;

-- unpark --
-- Unpark windows; null matches all.
DELETE FROM parked p USING model m
WHERE m.id = p.model_id AND ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
  AND ($3::text IS NULL OR p.reason = $3)
RETURNING m.project, m.name AS model, p.reason;

-- count_retried --
-- What a retry would try again; null matches all.
SELECT (SELECT coalesce(sum((SELECT count(*) FROM unnest(p.windows))), 0)
        FROM parked p JOIN model m ON m.id = p.model_id
        WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
          AND ($3::text IS NULL OR p.reason = $3))::bigint AS windows,
       (SELECT count(*) FROM task t JOIN model m ON m.id = t.model_id
        WHERE t.state = 'waiting' AND ($3::text IS NULL OR $3 = 'retry')
          AND ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)) AS waiting;

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

-- accept_loss --
UPDATE project SET accept_loss = true WHERE name = $1 AND doubted_since IS NOT NULL RETURNING name;

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
-- Outstanding tasks get new numbers, which ends their claims, and are published again. Those that were claimed when the
-- backup was made did not end their process: that start does not count.
UPDATE task
SET id = DEFAULT, state = CASE WHEN state = 'waiting' THEN state ELSE 'planned' END, channel = '', published_at = NULL,
    starts = CASE WHEN state = 'claimed' THEN greatest(starts - 1, 0) ELSE starts END,
    claimed_by = NULL, lease_until = NULL
RETURNING state;
