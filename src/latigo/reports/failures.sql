-- What is parked, waits, lacks rows, or was refused.

-- failures --
-- What is parked, waits for another attempt, lacks rows that its readings allow, or could not be read from the queue; null
-- matches all. Ordered by $5.
SELECT f.*, count(*) OVER () AS total FROM (
SELECT m.project, m.name AS model, 'parked' AS state, p.reason, p.detail, p.since, p.revision,
       lower(p.windows) AS first, upper(p.windows) AS last, NULL::timestamptz AS next_attempt, 0 AS attempts
FROM parked p JOIN model m ON m.id = p.model_id
WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2) AND ($3::text IS NULL OR p.reason = $3)
UNION ALL
SELECT m.project, m.name, 'waiting', 'retry', t.detail, t.planned_at, m.revision, lower(t.span), upper(t.span),
       t.not_before, t.attempts
FROM task t JOIN model m ON m.id = t.model_id
WHERE t.state = 'waiting' AND ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
  AND ($3::text IS NULL OR $3 = 'retry')
UNION ALL
SELECT m.project, m.name, 'excepted', split_part(e.reason, ':', 1),
       CASE WHEN min(e.reason) LIKE 'not_stored%' THEN 'a sink did not keep the rows that it was given: '
                || string_agg(DISTINCT substr(e.reason, 13), '; ')
            ELSE 'the model answers rows without any finite value' END,
       min(lower(e.slots)), m.revision, min(lower(e.slots)), max(upper(e.slots)),
       nullif(min(e.next_look), 'infinity'), max(e.looks)
FROM slot_exception e JOIN model m ON m.id = e.model_id
WHERE split_part(e.reason, ':', 1) IN ('no_finite_values', 'not_stored')
  AND ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
  AND ($3::text IS NULL OR split_part(e.reason, ':', 1) = $3)
GROUP BY m.id, 4
UNION ALL
SELECT '', r.channel || '#' || r.partition || coalesce('@' || r.sequence, ''), 'message', r.reason, r.detail, r.at, '',
       NULL, NULL, NULL, 0
FROM queue_refused r
WHERE $1::text IS NULL AND $2::text IS NULL AND ($3::text IS NULL OR r.reason = $3)
) AS f
WHERE $4::text IS NULL OR f.state = $4
ORDER BY CASE WHEN $5::text = 'oldest' THEN f.since END, CASE WHEN $5 = 'newest' THEN f.since END DESC,
         CASE WHEN $5 = 'reason' THEN f.reason END, f.project, f.model, f.since
LIMIT nullif($6::bigint, 0);
