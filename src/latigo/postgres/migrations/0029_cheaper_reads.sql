-- The same answers for less work, for ledgers of a hundred thousand models: see docs/decisions/0037.

-- model_holes --
-- As in 0001, from one read of each coverage. `lacks` is false only if there are no holes: whether a coverage holds a
-- stretch of time costs a fraction of subtracting it.
CREATE OR REPLACE VIEW model_holes AS
WITH clock AS MATERIALIZED (SELECT ledger_now() AS at),
busy AS (
    SELECT model_id, range_agg(span) AS spans,
           coalesce(bool_or(lane = 'live') FILTER (WHERE state <> 'waiting'), false) AS live_out,
           coalesce(bool_or(lane <> 'live') FILTER (WHERE state <> 'waiting'), false) AS back_out
    FROM task GROUP BY model_id
),
waiting AS (
    SELECT e.model_id, range_agg(stretch) AS slots
    FROM slot_exception e CROSS JOIN LATERAL unnest(e.slots) AS stretch
    WHERE e.next_look > (SELECT at FROM clock)
    GROUP BY e.model_id
),
stuck AS (
    SELECT p.model_id, range_agg(stretch) AS windows
    FROM parked p CROSS JOIN LATERAL unnest(p.windows) AS stretch
    GROUP BY p.model_id
),
edge AS (
    SELECT m.id, m.slot, least(m.fold, m.fold_limit) AS fold, m.since, clock.at,
           greatest(date_bin(m.slot, clock.at - m.delay, 'epoch'), m.since) AS due,
           c.covered, c.covered_end, c.expired, c.hold_until, c.silent_since, pg_column_size(c.covered) > 2000 AS fragmented
    FROM model m CROSS JOIN clock JOIN coverage c ON c.model_id = m.id
    WHERE m.state = 'active' AND NOT m.paused
)
SELECT e.id AS model_id, e.at, e.slot, e.fold, e.due, e.covered_end,
       coalesce(e.hold_until > e.at, false) AS held,
       coalesce(b.live_out, false) AS live_out, coalesce(b.back_out, false) AS back_out,
       -- With a much fragmented coverage, all of it costs many times as much to work out as its last days.
       e.fragmented AND e.since < e.due - e.fold * 4 AS cut,
       tstzmultirange(tstzrange(CASE WHEN e.fragmented THEN greatest(e.since, e.due - e.fold * 4) ELSE e.since END, e.due))
           - e.covered - e.expired - coalesce(b.spans, '{}') - coalesce(w.slots, '{}') - coalesce(s.windows, '{}')
           - CASE WHEN e.silent_since < e.due - e.slot
                  THEN tstzmultirange(tstzrange(e.silent_since, e.due - e.slot)) ELSE '{}' END AS recent,
       tstzmultirange(tstzrange(e.since, e.due))
           - e.covered - e.expired - coalesce(b.spans, '{}') - coalesce(w.slots, '{}') - coalesce(s.windows, '{}')
           - CASE WHEN e.silent_since < e.due - e.slot
                  THEN tstzmultirange(tstzrange(e.silent_since, e.due - e.slot)) ELSE '{}' END AS holes,
       e.fragmented OR NOT e.covered @> tstzrange(e.since, e.due) AS lacks
FROM edge e
LEFT JOIN busy b ON b.model_id = e.id
LEFT JOIN waiting w ON w.model_id = e.id
LEFT JOIN stuck s ON s.model_id = e.id;

-- slot_total_now --
-- As in 0020, but each model's holes are worked out once, and lengths are floating-point numbers from the first.
CREATE OR REPLACE VIEW slot_total_now AS
SELECT m.project, 'backlog' AS kind, count(*) AS models, sum(l.seconds / date_part('epoch', h.slot)) AS slots,
       sum(l.calls) AS calls
FROM (SELECT model_id, slot, fold, holes FROM model_holes WHERE lacks OFFSET 0) h
JOIN model m ON m.id = h.model_id
CROSS JOIN LATERAL (
    SELECT sum(r.seconds) AS seconds, sum(ceil(r.seconds / date_part('epoch', h.fold))) AS calls
    FROM (SELECT date_part('epoch', upper(u) - lower(u)) AS seconds FROM unnest(h.holes) AS u) r
) l
WHERE l.seconds IS NOT NULL
GROUP BY m.project
UNION ALL
SELECT m.project, e.state, count(DISTINCT e.model_id),
       sum((SELECT sum(date_part('epoch', upper(s) - lower(s))) FROM unnest(e.slots) AS s) / date_part('epoch', m.slot)), 0
FROM slot_exception e JOIN model m ON m.id = e.model_id
GROUP BY m.project, e.state;

-- model_freshness --
-- As `freshness_of_models` in 0020, which older programs use, with the revision and since when the model is missing, so that who needs them reads no model twice.
-- Ages are compared as times: `stale_after` is the end of what is stale.
CREATE FUNCTION model_freshness(fresh_within interval)
RETURNS TABLE (model_id bigint, project text, name text, state text, paused boolean, since timestamptz, slot interval,
               due timestamptz, silent_since timestamptz, settled_until timestamptz, parked boolean, parked_now boolean,
               counts boolean, stale boolean, stale_since timestamptz, slot_missing boolean, held_by_parked boolean,
               late boolean, failed text, revision text, missing_since timestamptz)
LANGUAGE sql STABLE AS $$
WITH clock AS MATERIALIZED (SELECT ledger_now() AS at),
excepted AS (
    SELECT e.model_id, max(upper(e.slots)) AS settled_end FROM slot_exception e GROUP BY e.model_id
),
-- Usually none.
unstored AS (
    SELECT e.model_id,
           max(upper(e.slots)) FILTER (WHERE split_part(e.reason, ':', 1) NOT IN ('no_finite_values', 'not_stored')) AS done_end,
           max(upper(e.slots)) FILTER (WHERE split_part(e.reason, ':', 1) = 'no_finite_values') AS no_values_end,
           max(upper(e.slots)) FILTER (WHERE split_part(e.reason, ':', 1) = 'not_stored') AS not_stored_end
    FROM slot_exception e
    WHERE e.model_id IN (SELECT x.model_id FROM slot_exception x
                         WHERE split_part(x.reason, ':', 1) IN ('no_finite_values', 'not_stored'))
    GROUP BY e.model_id
),
stuck AS (
    SELECT p.model_id, max(upper(w)) AS settled_end, max(coalesce(upper(w), 'infinity')) AS parked_end,
           coalesce(range_agg(w), '{}') AS windows
    FROM parked p LEFT JOIN LATERAL unnest(p.windows) AS w ON true GROUP BY p.model_id
),
seen AS (
    SELECT m.id, m.project, m.name, m.state, m.paused, m.since, m.slot, m.revision, m.missing_since, clock.at,
           date_bin(m.slot, clock.at - m.delay, 'epoch') AS due, c.silent_since, c.hold_until, c.held_for,
           coalesce(greatest(c.covered_end, e.settled_end, s.settled_end), m.since) AS settled_until,
           coalesce(c.covered_end, e.settled_end) IS NOT NULL OR s.windows IS NOT NULL AS tried,
           coalesce(greatest(c.covered_end, CASE WHEN u.model_id IS NULL THEN e.settled_end ELSE u.done_end END),
                    CASE WHEN coalesce(c.covered_end, e.settled_end) IS NOT NULL OR s.windows IS NOT NULL
                         THEN m.since ELSE m.first_seen END) AS ended,
           clock.at - coalesce($1, m.delay + m.slot + m.slot) AS stale_after,
           m.state IN ('active', 'unusable') AND NOT m.paused AND c.silent_since IS NULL AS expected,
           u.no_values_end, u.not_stored_end, s.windows, s.parked_end
    FROM model m
    CROSS JOIN clock
    JOIN coverage c ON c.model_id = m.id
    LEFT JOIN excepted e ON e.model_id = m.id
    LEFT JOIN unstored u ON u.model_id = m.id
    LEFT JOIN stuck s ON s.model_id = m.id
    OFFSET 0
),
judged AS (
    SELECT s.*, s.windows IS NOT NULL AS parked, coalesce(s.windows @> s.due - s.slot, false) AS parked_now,
           s.expected AND s.ended < s.stale_after AS stale
    FROM seen s
)
SELECT j.id, j.project, j.name, j.state, j.paused, j.since, j.slot, j.due, j.silent_since, j.settled_until, j.parked,
       j.parked_now, j.expected AND (j.stale OR j.tried), j.stale,
       CASE WHEN j.stale THEN j.ended + (j.at - j.stale_after) END, j.stale AND j.ended < j.due,
       j.stale AND j.parked AND (j.parked_now OR j.parked_end >= j.stale_after),
       j.stale AND j.state = 'active' AND j.ended < j.due AND NOT j.parked_now AND j.settled_until < j.stale_after,
       CASE WHEN NOT j.stale THEN NULL
            WHEN j.hold_until > j.at THEN split_part(j.held_for, '/', 1)
            WHEN j.no_values_end > j.ended AND j.no_values_end >= j.stale_after THEN 'gordo'
            WHEN j.not_stored_end > j.ended AND j.not_stored_end >= j.stale_after THEN 'sink' END,
       j.revision, j.missing_since
FROM judged j
$$;
