-- Whether models have their newest predictions, and for which cause not: see docs/decisions/0023.

-- coverage_covered_end --
-- Read for every model at once; out of a fragmented coverage it would cost many times as much.
ALTER TABLE coverage ADD COLUMN covered_end timestamptz GENERATED ALWAYS AS (upper(covered)) STORED;

-- freshness_of_models --
-- Every model, and whether its newest predictions are older than the objective allows; null: than its own schedule allows.
-- Slots without rows are done if neither model nor sink is at fault. A model of which nothing is settled is new until it has
-- been known for as long. `failed` is the system that keeps a model from being predicted, or its newest slots from being
-- stored, as far as tasks are not needed to know it. `late` are the stale ones for which it is not known why: they are not
-- parked, and their newest slots are not settled in any way.
CREATE FUNCTION freshness_of_models(fresh_within interval)
RETURNS TABLE (model_id bigint, project text, name text, state text, paused boolean, since timestamptz, slot interval,
               due timestamptz, silent_since timestamptz, settled_until timestamptz, parked boolean, parked_now boolean,
               counts boolean, stale boolean, stale_since timestamptz, slot_missing boolean, held_by_parked boolean,
               late boolean, failed text)
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
    SELECT m.id, m.project, m.name, m.state, m.paused, m.since, m.slot, clock.at,
           date_bin(m.slot, clock.at - m.delay, 'epoch') AS due, c.silent_since, c.hold_until, c.held_for,
           greatest(c.covered_end, e.settled_end, s.settled_end) AS settled_end,
           coalesce(c.covered_end, e.settled_end) IS NOT NULL OR s.windows IS NOT NULL AS tried,
           greatest(c.covered_end, CASE WHEN u.model_id IS NULL THEN e.settled_end ELSE u.done_end END) AS done_end, m.first_seen,
           coalesce($1, m.delay + 2 * m.slot) AS within,
           m.state IN ('active', 'unusable') AND NOT m.paused AND c.silent_since IS NULL AS expected,
           u.no_values_end, u.not_stored_end, s.windows IS NOT NULL AS parked, s.parked_end,
           coalesce(s.windows @> date_bin(m.slot, clock.at - m.delay, 'epoch') - m.slot, false) AS parked_now
    FROM model m
    CROSS JOIN clock
    JOIN coverage c ON c.model_id = m.id
    LEFT JOIN excepted e ON e.model_id = m.id
    LEFT JOIN unstored u ON u.model_id = m.id
    LEFT JOIN stuck s ON s.model_id = m.id
    OFFSET 0
),
judged AS (
    SELECT s.*, s.expected AND s.at - s.ended > s.within AS stale
    FROM (SELECT x.*, coalesce(x.settled_end, x.since) AS settled_until,
                 coalesce(x.done_end, CASE WHEN x.tried THEN x.since ELSE x.first_seen END) AS ended
          FROM seen x OFFSET 0) s
    OFFSET 0
)
SELECT j.id, j.project, j.name, j.state, j.paused, j.since, j.slot, j.due, j.silent_since, j.settled_until, j.parked,
       j.parked_now, j.expected AND (j.stale OR j.tried), j.stale,
       CASE WHEN j.stale THEN j.ended + j.within END, j.stale AND j.ended < j.due,
       j.stale AND j.parked AND (j.parked_now OR j.at - j.parked_end <= j.within),
       j.stale AND j.state = 'active' AND j.ended < j.due AND NOT j.parked_now AND j.at - j.settled_until > j.within,
       CASE WHEN NOT j.stale THEN NULL
            WHEN j.hold_until > j.at THEN split_part(j.held_for, '/', 1)
            WHEN j.no_values_end > j.ended AND j.at - j.no_values_end <= j.within THEN 'gordo'
            WHEN j.not_stored_end > j.ended AND j.at - j.not_stored_end <= j.within THEN 'sink' END
FROM judged j
$$;

-- freshness --
-- Time of all models of a project in five minutes from `period` on, added up: `fresh`, or stale by cause.
CREATE TABLE freshness (
    period          timestamptz NOT NULL,
    project         text NOT NULL,
    outcome         text NOT NULL,
    model_time      interval NOT NULL,
    PRIMARY KEY (period, project, outcome)
);

-- freshness_total --
-- The sum of all that is kept.
CREATE TABLE freshness_total (
    project         text NOT NULL,
    outcome         text NOT NULL,
    model_time      interval NOT NULL,
    PRIMARY KEY (project, outcome)
);

-- slot_total --
-- Sums over all slots, which cost too much for every status: those that could be planned now (`backlog`), with the calls
-- that they cost when folded, and exceptions by state.
CREATE TABLE slot_total (
    project         text NOT NULL,
    kind            text NOT NULL,
    models          bigint NOT NULL,
    slots           double precision NOT NULL,
    calls           double precision NOT NULL,
    PRIMARY KEY (project, kind)
);

-- slot_total_now --
-- The same as of now.
CREATE VIEW slot_total_now AS
SELECT m.project, 'backlog' AS kind, count(*) AS models,
       sum((SELECT sum(extract(epoch FROM upper(r) - lower(r))) FROM unnest(h.holes) AS r)
           / extract(epoch FROM h.slot))::float8 AS slots,
       sum((SELECT sum(ceil(extract(epoch FROM upper(r) - lower(r)) / extract(epoch FROM h.fold)))
            FROM unnest(h.holes) AS r))::float8 AS calls
FROM model_holes h JOIN model m ON m.id = h.model_id
WHERE NOT isempty(h.holes)
GROUP BY m.project
UNION ALL
SELECT m.project, e.state, count(DISTINCT e.model_id),
       sum((SELECT sum(extract(epoch FROM upper(s) - lower(s))) FROM unnest(e.slots) AS s)
           / extract(epoch FROM m.slot))::float8, 0
FROM slot_exception e JOIN model m ON m.id = e.model_id
GROUP BY m.project, e.state;

-- tally --
-- Until when freshness has been counted, and the models that were stale then, by project and cause; when the sums were made
-- and until when they count as of now. One row.
CREATE TABLE tally (
    one             boolean PRIMARY KEY DEFAULT true CHECK (one),
    counted_until   timestamptz,
    stale           jsonb NOT NULL DEFAULT '{}',
    summed_at       timestamptz,
    summed_until    timestamptz NOT NULL DEFAULT '-infinity'
);

-- tally_row --
INSERT INTO tally DEFAULT VALUES;
