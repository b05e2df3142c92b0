-- What is parked, waits, lacks rows or readings, or was refused.

-- failures --
-- One row for each model and cause, or message of the queue; null matches all, and names are patterns. Silent models only where they are asked for,
-- or are dismissed. Dismissed ones apart ($6). Ordered by $7. What waits without an attempt, for its turn or a pause, is none.
SELECT project, model, state, reason, detail, since, revision, first, last, next_attempt, attempts, tags,
       count(*) OVER () AS total, coalesce(d.who, '') AS dismissed_by, d.at AS dismissed_at, coalesce(d.note, '') AS note
FROM failing LEFT JOIN dismissal d USING (model_id, revision, reason)
WHERE (d.model_id IS NOT NULL) = $6::boolean
  AND ($1::text[] IS NULL OR project LIKE ANY ($1)) AND ($2::text[] IS NULL OR model LIKE ANY ($2) AND state <> 'message')
  AND ($3::text IS NULL OR reason = $3) AND ($4::text IS NULL OR tags @> ARRAY[$4])
  AND CASE WHEN $5::text IS NULL THEN state <> 'silent' OR $6 OR $3 = 'no_readings' OR $4 IS NOT NULL ELSE state = $5 END
ORDER BY CASE WHEN $7::text = 'oldest' THEN since END, CASE WHEN $7 = 'newest' THEN since END DESC,
         CASE WHEN $7 = 'reason' THEN reason END, project, model, since
LIMIT nullif($8::bigint, 0) OFFSET $9;

-- count_dismissed --
-- The same, dismissed: how many.
SELECT count(*) AS failures
FROM failing
WHERE is_dismissed(model_id, revision, reason)
  AND ($1::text[] IS NULL OR project LIKE ANY ($1)) AND ($2::text[] IS NULL OR model LIKE ANY ($2)) AND ($3::text IS NULL OR reason = $3)
  AND ($4::text IS NULL OR tags @> ARRAY[$4]) AND ($5::text IS NULL OR state = $5);

-- failure_groups --
-- The same by cause, sensor or project ($7), silent models among them: those with parked models first, then those of most.
-- A failure that is about several sensors is in the group of each.
WITH chosen AS MATERIALIZED (
    SELECT * FROM failing
    WHERE ($1::text[] IS NULL OR project LIKE ANY ($1)) AND ($2::text[] IS NULL OR model LIKE ANY ($2) AND state <> 'message')
      AND ($3::text IS NULL OR reason = $3) AND ($4::text IS NULL OR tags @> ARRAY[$4])
      AND ($5::text IS NULL OR state = $5) AND coalesce(is_dismissed(model_id, revision, reason), false) = $6::boolean
),
grouped AS (
    SELECT c.*, g.name AS member FROM chosen c
    CROSS JOIN LATERAL (
        SELECT c.reason AS name WHERE $7::text = 'cause'
        UNION ALL SELECT c.project WHERE $7 = 'project' AND c.state <> 'message'
        UNION ALL SELECT unnest(c.tags) WHERE $7 = 'sensor'
    ) g
)
SELECT member AS name, count(DISTINCT model_id) AS models, count(*) AS failures, min(since) AS since, max(since) AS newest,
       min(next_attempt) AS next_attempt, array_agg(DISTINCT reason ORDER BY reason) AS reasons,
       array_agg(DISTINCT state ORDER BY state) AS states, array_agg(DISTINCT project ORDER BY project) AS projects,
       (array_agg(detail ORDER BY since DESC, model_id))[1] AS example, count(*) OVER () AS total
FROM grouped GROUP BY member
ORDER BY bool_or(state = 'parked') DESC, count(DISTINCT model_id) DESC, count(*) DESC, member
LIMIT nullif($8::bigint, 0) OFFSET $9;
