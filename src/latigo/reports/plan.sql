-- What could be planned now.

-- plan --
-- The windows that could be planned now or are held, cut to $3..$4; of the state $5, where null matches all. Ordered by $6,
-- $7 at most after $8 others; total counts all. Then, without a model, what each project needs in all. One statement, since a slot may
-- become due between two. Repairs are whole slots that are predicted again, as in `needs`;
-- requested is what requests want and the schedule does not. The columns of a window are those of MissingWindow, in order.
WITH clock AS MATERIALIZED (SELECT ledger_now() AS at),
wanted AS MATERIALIZED (
    SELECT m.project, m.name AS model, h.slot, h.fold, h.due, h.held, false AS repair, false AS requested,
           h.holes AS stretches
    FROM (SELECT model_id, slot, fold, due, held, holes FROM model_holes WHERE lacks OFFSET 0) h
    JOIN model m ON m.id = h.model_id
    WHERE NOT isempty(h.holes) AND ($1::text[] IS NULL OR m.project LIKE ANY ($1)) AND ($2::text[] IS NULL OR m.name LIKE ANY ($2))
    UNION ALL
    SELECT m.project, m.name, m.slot, least(m.fold, m.fold_limit), NULL, r.held, true, false,
           r.slots - coalesce((SELECT range_agg(w) FROM parked p CROSS JOIN LATERAL unnest(p.windows) AS w
                               WHERE p.model_id = m.id), '{}')
                   - coalesce((SELECT range_agg(t.span) FROM task t WHERE t.model_id = m.id), '{}')
    FROM (SELECT d.model_id, d.due_at > (SELECT at FROM clock) AS held,
                 range_agg(tstzrange(date_bin(o.slot, lower(s), 'epoch'),
                                     date_bin(o.slot, upper(s) - interval '1 microsecond', 'epoch') + o.slot)) AS slots
          FROM repair d JOIN model o ON o.id = d.model_id CROSS JOIN LATERAL unnest(d.slots) AS s
          GROUP BY d.model_id, 2) r
    JOIN model m ON m.id = r.model_id
    WHERE m.state = 'active' AND NOT m.paused
      AND ($1::text[] IS NULL OR m.project LIKE ANY ($1)) AND ($2::text[] IS NULL OR m.name LIKE ANY ($2))
    UNION ALL
    SELECT m.project, m.name, h.slot, h.fold, NULL, h.held, false, true,
           q.wanted * tstzmultirange(tstzrange(NULL, h.due)) - h.holes
               - coalesce((SELECT w.windows FROM model_parked w WHERE w.model_id = m.id), '{}')
               - coalesce((SELECT range_agg(t.span) FROM task t WHERE t.model_id = m.id), '{}')
    FROM (SELECT o.model_id, range_agg(w) AS wanted
          FROM request_model o JOIN request_running r ON r.id = o.request_id CROSS JOIN LATERAL unnest(o.wanted) AS w
          WHERE o.open GROUP BY o.model_id) q
    JOIN model m ON m.id = q.model_id JOIN model_holes h ON h.model_id = q.model_id
    WHERE ($1::text[] IS NULL OR m.project LIKE ANY ($1)) AND ($2::text[] IS NULL OR m.name LIKE ANY ($2))
),
windows AS NOT MATERIALIZED (
    SELECT c.*, CASE $6::text WHEN 'newest' THEN -date_part('epoch', c.end) WHEN 'oldest' THEN date_part('epoch', c.start)
                              WHEN 'slots' THEN -c.slots ELSE 0 END AS rank
    FROM (
        SELECT w.project, w.model, lower(r) AS start, upper(r) AS end,
               date_part('epoch', upper(r) - lower(r)) / date_part('epoch', w.slot) AS slots,
               ceil(date_part('epoch', upper(r) - lower(r)) / date_part('epoch', w.fold)) AS calls,
               coalesce(upper(r) = w.due, false) AS live, w.held, w.repair, w.requested
        FROM wanted w
        CROSS JOIN LATERAL unnest(w.stretches * tstzmultirange(tstzrange($3::timestamptz, $4::timestamptz))) AS r
    ) c
    WHERE CASE $5::text WHEN 'live' THEN c.live WHEN 'backfill' THEN NOT c.live AND NOT c.repair AND NOT c.requested
                        WHEN 'repair' THEN c.repair WHEN 'requested' THEN c.requested WHEN 'held' THEN c.held ELSE true END
)
-- Counted apart: in one step with the order, all windows would be kept, not only those that are shown.
SELECT NULL::bigint AS models, a.*, (SELECT count(*) FROM windows) AS total
FROM (SELECT * FROM windows ORDER BY rank, project, model, start LIMIT nullif($7::bigint, 0) OFFSET $8) a
UNION ALL
SELECT count(DISTINCT w.model), w.project, NULL, NULL, NULL, sum(l.slots), sum(l.calls), NULL, NULL, NULL, NULL, NULL, NULL
FROM wanted w
CROSS JOIN LATERAL (
    SELECT sum(date_part('epoch', upper(r) - lower(r))) / date_part('epoch', w.slot) AS slots,
           sum(ceil(date_part('epoch', upper(r) - lower(r)) / date_part('epoch', w.fold))) AS calls
    FROM unnest(w.stretches) AS r
) l
WHERE l.slots IS NOT NULL GROUP BY w.project
ORDER BY rank, project, model, start;

-- backfill_paused --
SELECT who, at, reason FROM runtime_limit WHERE name = 'backfill_paused';
