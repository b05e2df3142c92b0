-- Requests for stretches of time, and what is left of them.

-- backfills --
-- The newest first, $3 at most (0: all); one ($1), or those in a state ($2), where null matches all.
WITH chosen AS MATERIALIZED (
    SELECT r.*, count(*) OVER () AS total FROM request r
    WHERE r.state IS NOT NULL AND ($1::bigint IS NULL OR r.id = $1) AND ($2::text IS NULL OR r.state = $2)
    ORDER BY r.id DESC LIMIT nullif($3::bigint, 0) OFFSET $4
),
left_over AS (
    SELECT q.request_id, sum(count_slots(q.wanted, m.slot))::bigint AS slots_left,
           sum(CASE WHEN p.model_id IS NULL THEN 0 ELSE count_slots(q.wanted * p.windows, m.slot) END)::bigint AS slots_parked,
           count(*) AS models_left
    FROM chosen c JOIN request_model q ON q.request_id = c.id AND q.open JOIN model m ON m.id = q.model_id
    LEFT JOIN model_parked p ON p.model_id = q.model_id
    GROUP BY q.request_id
)
SELECT c.id, c.kind, c.state, c.note, c.who, c.at, c.why, c.low AS start, c.high AS "end", c.selector, c.models, c.slots,
       coalesce(l.models_left, 0) AS models_left, coalesce(l.slots_left, 0) AS slots_left,
       coalesce(l.slots_parked, 0) AS slots_parked, c.failures AS windows_failed,
       (SELECT count(*) FROM task t WHERE t.request_id = c.id) AS tasks, c.at_most, c.stop_after, c.digest, c.ended_at, c.sink,
       c.state = 'active' AND EXISTS (SELECT FROM runtime_limit WHERE name = 'backfill_paused') AS backfill_paused, c.total
FROM chosen c LEFT JOIN left_over l ON l.request_id = c.id
ORDER BY c.id DESC;

-- backfill_models --
-- The models of a request ($1): those with most left first, $2 at most (0: all).
SELECT m.project, m.name AS model, q.slots, CASE WHEN q.open THEN count_slots(q.wanted, m.slot) ELSE 0 END AS slots_left,
       coalesce(count_slots(q.wanted * p.windows, m.slot), 0) AS slots_parked,
       (SELECT string_agg(DISTINCT k.reason, ', ' ORDER BY k.reason) FROM parked k
        WHERE k.model_id = m.id AND q.open AND k.windows && q.wanted) AS parked_as,
       count(*) OVER () AS total
FROM request_model q JOIN model m ON m.id = q.model_id LEFT JOIN model_parked p ON p.model_id = q.model_id AND q.open
WHERE q.request_id = $1
ORDER BY slots_left DESC, m.project, m.name LIMIT nullif($2::bigint, 0) OFFSET $3;
