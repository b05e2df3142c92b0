-- Why slots were missing at a time.

-- past_causes --
-- For each time from $1 to $2: what tasks of most models failed of then, and up to $3 later; and whether nothing was planned all
-- the time, which is known of ten minutes and more: the scheduler keeps a row of history every five.
SELECT s.number, f.detail,
       s."end" - s.start >= interval '10 minutes'
       AND EXISTS (SELECT FROM service_history k WHERE k.period < s.start)
       AND NOT EXISTS (SELECT FROM service_history k WHERE k.period >= s.start AND k.period < s."end") AS unplanned
FROM unnest($1::timestamptz[], $2::timestamptz[]) WITH ORDINALITY AS s (start, "end", number)
LEFT JOIN LATERAL (
    SELECT left(min(h.detail), 200) AS detail
    FROM task_history h JOIN model m ON m.id = h.model_id
    WHERE h.settled_at >= s.start AND h.settled_at < s."end" + $3::interval AND h.span && tstzrange(s.start, s."end")
      AND h.outcome IN ('deferred', 'retry', 'rejected', 'crashed') AND h.detail <> ''
    GROUP BY regexp_replace(replace(left(h.detail, 1000), m.name, '#'), '[0-9]+', '#', 'g')
    ORDER BY count(DISTINCT h.model_id) DESC, min(h.detail) LIMIT 1
) f ON true
ORDER BY s.number;
