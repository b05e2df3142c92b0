-- What is paused, and that a task which waits because of it has not failed.

-- is_backfill --
-- Whether a task waits while backfill is paused: all but live ones and those that were run by hand.
CREATE FUNCTION is_backfill(lane text, request_id bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT lane <> 'live' AND (lane <> 'manual' OR request_id IS NOT NULL) $$;

-- must_be_kept --
-- Whether a task has something to remember: starts that were not settled, failed attempts, or sinks that have its result.
CREATE FUNCTION must_be_kept(starts integer, attempts integer, stored_in text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT starts > 0 OR attempts > 0 OR stored_in <> '{}' $$;

-- task_pause --
-- Tasks, and what is paused of which each is a part; null: nothing. Its other columns spare a second look at the task.
CREATE VIEW task_pause AS
SELECT t.id, t.model_id, t.lane, t.state, t.not_before, t.request_id, must_be_kept(t.starts, t.attempts, t.stored_in) AS is_kept,
       m.project, m.state AS model_state,
       CASE WHEN m.paused THEN 'its model'
            WHEN r.state = 'paused' THEN 'request ' || r.id
            WHEN is_backfill(t.lane, t.request_id)
                 AND EXISTS (SELECT FROM runtime_limit WHERE name = 'backfill_paused') THEN 'backfill' END AS paused_by
FROM task t JOIN model m ON m.id = t.model_id LEFT JOIN request r ON r.id = t.request_id;

-- request_room --
-- How many more tasks may be out for requests that limit it.
CREATE VIEW request_room AS
SELECT r.id, r.at_most - (SELECT count(*) FROM task t WHERE t.request_id = r.id AND t.state <> 'waiting') AS room
FROM request_running r WHERE r.at_most IS NOT NULL;

-- wakeable_task --
-- Waiting tasks that may be planned again: their back-off is over, nothing of which they are a part is paused, their lane is
-- free, and their request has room for another one.
CREATE VIEW wakeable_task AS
WITH limited AS MATERIALIZED (SELECT id, room FROM request_room)
SELECT t.id, t.model_id, t.lane = 'live' AS live, t.not_before, t.request_id, l.room, t.project
FROM task_pause t LEFT JOIN limited l ON l.id = t.request_id
WHERE t.state = 'waiting' AND t.not_before <= ledger_now() AND t.model_state = 'active' AND t.paused_by IS NULL
  AND coalesce(l.room > 0, true)
  AND NOT EXISTS (SELECT FROM task o WHERE o.model_id = t.model_id AND o.state <> 'waiting'
                                       AND (o.lane = 'live') = (t.lane = 'live'));

-- failing --
-- What keeps models from being predicted, a row for each model and cause: what is parked or waits for another attempt,
-- slots without the rows that their readings allow, sensors without readings, and messages that are no task. What is paused
-- has no next attempt before it is resumed.
CREATE OR REPLACE VIEW failing AS
SELECT m.id AS model_id, m.project, m.name AS model, 'parked' AS state, p.reason, p.detail, p.since, p.revision,
       lower(p.windows) AS first, upper(p.windows) AS last, NULL::timestamptz AS next_attempt, 0 AS attempts, p.tags
FROM parked p JOIN model m ON m.id = p.model_id
UNION ALL
SELECT m.id, m.project, m.name, 'waiting', 'retry', t.detail, t.planned_at, m.revision, lower(t.span), upper(t.span),
       CASE WHEN p.paused_by IS NULL THEN t.not_before END, t.attempts, '{}'
FROM task t JOIN model m ON m.id = t.model_id JOIN task_pause p ON p.id = t.id
WHERE t.state = 'waiting' AND (t.attempts > 0 OR t.detail <> '')
UNION ALL
SELECT m.id, m.project, m.name, 'excepted', split_part(e.reason, ':', 1),
       CASE WHEN min(e.reason) LIKE 'not_stored%' THEN 'a sink did not keep the rows that it was given: '
                || string_agg(DISTINCT substr(e.reason, 13), '; ')
            ELSE 'the model answers rows without any finite value' END,
       min(lower(e.slots)), m.revision, min(lower(e.slots)), max(upper(e.slots)),
       nullif(min(e.next_look), 'infinity'), max(e.looks), '{}'
FROM slot_exception e JOIN model m ON m.id = e.model_id
WHERE split_part(e.reason, ':', 1) IN ('no_finite_values', 'not_stored')
GROUP BY m.id, split_part(e.reason, ':', 1)
UNION ALL
-- What is missing is what the newest settled slot of a model lacked: a tag that has reported since is not in it.
SELECT m.id, m.project, m.name, 'silent', 'no_readings', 'no readings of ' || array_to_string(n.tags, ', '), c.silent_since,
       m.revision, c.silent_since, n.newest, NULL, 0, n.tags
FROM coverage c JOIN model m ON m.id = c.model_id
CROSS JOIN LATERAL (
    SELECT upper(e.slots) AS newest, e.tags FROM slot_exception e
    WHERE e.model_id = m.id AND e.state = 'absent' ORDER BY upper(e.slots) DESC LIMIT 1
) n
WHERE c.silent_since IS NOT NULL AND m.state = 'active' AND NOT m.paused AND n.newest > c.silent_since
UNION ALL
SELECT NULL, '', r.channel || '#' || r.partition || coalesce('@' || r.sequence, ''), 'message', r.reason, r.detail, r.at, '',
       NULL, NULL, NULL, 0, '{}'
FROM queue_refused r;

-- forget_pauses_in_details --
-- An earlier program said so of tasks that it let wait.
UPDATE task SET detail = '' WHERE state = 'waiting' AND detail = 'paused before it was done';
