-- Outstanding tasks.

-- outstanding_tasks --
-- Tasks that are planned and not settled, the oldest first; null matches all, $5 at most after $6 others. One that waits for
-- the end of a pause has no next attempt before that.
SELECT m.project, m.name AS model, lower(t.span) AS start, upper(t.span) AS "end", t.lane, t.state, t.attempts, t.starts,
       CASE WHEN t.state = 'claimed' THEN t.claimed_by ELSE '' END AS executor, t.planned_at,
       CASE WHEN t.state = 'claimed' THEN t.claimed_at END AS claimed_at,
       CASE WHEN t.state = 'waiting' AND p.what IS NULL THEN nullif(t.not_before, 'infinity') END AS next_attempt,
       concat_ws('; ', nullif(t.detail, ''), p.what || ' is paused') AS detail,
       count(*) OVER () AS total
FROM task t JOIN model m ON m.id = t.model_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN t.state <> 'waiting' THEN NULL
                WHEN m.paused THEN 'its model'
                WHEN EXISTS (SELECT FROM request r WHERE r.id = t.request_id AND r.state = 'paused') THEN 'request ' || t.request_id
                WHEN (t.lane IN ('backfill', 'repair') OR t.request_id IS NOT NULL)
                     AND EXISTS (SELECT FROM runtime_limit WHERE name = 'backfill_paused') THEN 'backfill' END AS what
) p
WHERE ($1::text[] IS NULL OR m.project LIKE ANY ($1)) AND ($2::text[] IS NULL OR m.name LIKE ANY ($2))
  AND ($3::text IS NULL OR t.state = $3) AND ($4::text IS NULL OR (t.state = 'claimed' AND t.claimed_by = $4))
ORDER BY t.planned_at, t.id LIMIT nullif($5::bigint, 0) OFFSET $6;

-- task_state --
-- How far a task is: its end, if it has ended. Tasks that are planned by hand are live.
SELECT t.state, concat_ws('; ', nullif(t.detail, ''), CASE WHEN t.state = 'waiting' AND m.paused THEN 'its model is paused' END) AS detail,
       CASE WHEN NOT m.paused THEN t.not_before END AS next_attempt, '' AS outcome, '' AS reason, 0 AS rows
FROM task t JOIN model m ON m.id = t.model_id WHERE t.id = $1
UNION ALL
SELECT 'ended', h.detail, NULL, h.outcome, h.reason, h.rows FROM task_history h WHERE h.id = $1;
