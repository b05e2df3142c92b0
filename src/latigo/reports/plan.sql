-- What could be planned now.

-- backlog --
-- What could be planned now, by project: slots, and the calls that they cost when folded.
SELECT m.project, count(*) AS models,
       sum((SELECT sum(extract(epoch FROM upper(r) - lower(r))) FROM unnest(h.holes) AS r)
           / extract(epoch FROM h.slot))::float8 AS slots,
       sum((SELECT sum(ceil(extract(epoch FROM upper(r) - lower(r)) / extract(epoch FROM h.fold)))
            FROM unnest(h.holes) AS r))::float8 AS calls
FROM model_holes h JOIN model m ON m.id = h.model_id
WHERE NOT isempty(h.holes) AND ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
GROUP BY m.project ORDER BY m.project;

-- holes --
-- The stretches that could be planned now, cut to $3..$4; of the state $5, where null matches all. Ordered by $6.
SELECT h.*, count(*) OVER () AS total FROM (
    SELECT m.project, m.name AS model, lower(r) AS start, upper(r) AS end,
           extract(epoch FROM upper(r) - lower(r))::float8 / extract(epoch FROM h.slot)::float8 AS slots,
           ceil(extract(epoch FROM upper(r) - lower(r)) / extract(epoch FROM h.fold))::int AS calls,
           upper(r) = h.due AS live, h.held
    FROM model_holes h JOIN model m ON m.id = h.model_id
    CROSS JOIN LATERAL unnest(h.holes * tstzmultirange(tstzrange($3::timestamptz, $4::timestamptz))) AS r
    WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
) AS h
WHERE $5::text IS NULL OR CASE $5 WHEN 'live' THEN h.live WHEN 'backfill' THEN NOT h.live ELSE h.held END
ORDER BY CASE WHEN $6::text = 'newest' THEN h.end END DESC, CASE WHEN $6 = 'oldest' THEN h.start END,
         CASE WHEN $6 = 'slots' THEN h.slots END DESC, h.project, h.model, h.start
LIMIT nullif($7::bigint, 0);
