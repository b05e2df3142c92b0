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
-- The stretches that could be planned now, cut to $3..$4; newest first.
SELECT m.project, m.name AS model, lower(r) AS start, upper(r) AS end,
       extract(epoch FROM upper(r) - lower(r))::float8 / extract(epoch FROM h.slot)::float8 AS slots,
       ceil(extract(epoch FROM upper(r) - lower(r)) / extract(epoch FROM h.fold))::int AS calls,
       upper(r) = h.due AS live, h.held
FROM model_holes h JOIN model m ON m.id = h.model_id
CROSS JOIN LATERAL unnest(h.holes * tstzmultirange(tstzrange($3::timestamptz, $4::timestamptz))) AS r
WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
ORDER BY upper(r) DESC, m.project, m.name LIMIT $5;
