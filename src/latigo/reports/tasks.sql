-- Outstanding tasks.

-- outstanding_tasks --
-- Tasks that are planned and not settled, the oldest first; null matches all, $5 at most after $6 others. One that waits for
-- the end of a pause has no next attempt before that.
SELECT m.project, m.name AS model, lower(t.span) AS start, upper(t.span) AS "end", t.lane, t.state, t.attempts, t.starts,
       CASE WHEN t.state = 'claimed' THEN t.claimed_by ELSE '' END AS executor, t.planned_at,
       CASE WHEN t.state = 'claimed' THEN t.claimed_at END AS claimed_at,
       CASE WHEN t.state = 'waiting' AND p.paused_by IS NULL THEN nullif(t.not_before, 'infinity') END AS next_attempt,
       concat_ws('; ', nullif(t.detail, ''), (SELECT string_agg(pause || ' is paused', '; ') FROM unnest(p.pauses) AS pause)) AS detail,
       count(*) OVER () AS total
FROM task t JOIN model m ON m.id = t.model_id
LEFT JOIN task_pause p ON p.id = t.id AND t.state = 'waiting'
WHERE ($1::text[] IS NULL OR m.project LIKE ANY ($1)) AND ($2::text[] IS NULL OR m.name LIKE ANY ($2))
  AND ($3::text IS NULL OR t.state = $3) AND ($4::text IS NULL OR (t.state = 'claimed' AND t.claimed_by = $4))
ORDER BY t.planned_at, t.id LIMIT nullif($5::bigint, 0) OFFSET $6;

-- task_state --
-- How far a task is: its end, if it has ended. Tasks that are planned by hand are live.
SELECT t.state, concat_ws('; ', nullif(t.detail, ''), (SELECT string_agg(pause || ' is paused', '; ') FROM unnest(p.pauses) AS pause)) AS detail,
       CASE WHEN p.paused_by IS NULL THEN t.not_before END AS next_attempt, '' AS outcome, '' AS reason, 0 AS rows
FROM task t LEFT JOIN task_pause p ON p.id = t.id AND t.state = 'waiting' WHERE t.id = $1
UNION ALL
SELECT 'ended', h.detail, NULL, h.outcome, h.reason, h.rows FROM task_history h WHERE h.id = $1;
