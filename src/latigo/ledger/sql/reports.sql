-- Reports: read-only.

-- planner --
SELECT holder, term, lease_until, lease_until > ledger_now() AS held FROM planner;

-- executors --
SELECT id, version, envelope_low, envelope_high, concurrency, working_limit, in_flight, started_at, seen_at
FROM executor WHERE seen_at > ledger_now() - interval '1 minute' ORDER BY id;

-- freshness --
-- Per project: how many models, how many lack their newest due slot for longer than $1 slots, which of them do so for
-- longest (model, looked until, due; $2 at most), and the oldest end. A slot that ended as an exception or is parked is not
-- late: it was looked at. Known are also models that were unregistered by hand since the project's list was read.
WITH due AS (
    SELECT m.id, m.project, m.name, m.slot, m.state, m.paused, m.since, m.state = 'active' AND NOT m.paused AS active,
           date_bin(m.slot, ledger_now() - m.delay, 'epoch') AS due
    FROM model m
),
seen AS (
    SELECT d.*, c.silent_since,
           coalesce(greatest(upper(c.covered),
                             (SELECT max(upper(e.slots)) FROM slot_exception e WHERE e.model_id = d.id),
                             (SELECT max(upper(p.windows)) FROM parked p WHERE p.model_id = d.id)),
                    d.since) AS looked_until,
           EXISTS (SELECT FROM parked p WHERE p.model_id = d.id) AS parked,
           EXISTS (SELECT FROM parked p WHERE p.model_id = d.id AND p.windows @> d.due - d.slot) AS parked_now,
           EXISTS (SELECT FROM roster r JOIN project l ON l.name = r.project
                   WHERE r.project = d.project AND r.name = d.name AND NOT r.registered AND r.at > l.listed_at) AS dropped
    FROM due d JOIN coverage c ON c.model_id = d.id
),
judged AS (
    SELECT *, active AND NOT parked_now AND due > since AND looked_until < due - slot * $1::float8 AS stale FROM seen
)
SELECT project,
       count(*) FILTER (WHERE active) AS active,
       count(*) FILTER (WHERE state IN ('active', 'disabled', 'unusable') OR dropped) AS known,
       count(*) FILTER (WHERE paused) AS paused,
       count(*) FILTER (WHERE state = 'unusable') AS unusable,
       count(*) FILTER (WHERE state = 'gone') AS gone,
       count(*) FILTER (WHERE active AND silent_since IS NOT NULL) AS silent,
       count(*) FILTER (WHERE parked) AS parked,
       count(*) FILTER (WHERE stale) AS stale,
       (array_agg(ROW(name, looked_until, due) ORDER BY looked_until, name) FILTER (WHERE stale))[1:$2::int] AS stalest,
       min(looked_until) FILTER (WHERE active AND NOT parked_now) AS oldest,
       sum(CASE WHEN state = 'active' THEN 1 / extract(epoch FROM slot) ELSE 0 END)::float8 AS slots_per_second
FROM judged GROUP BY project ORDER BY project;

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

-- exceptions_by_state --
SELECT m.project, e.state, count(DISTINCT e.model_id) AS models,
       sum((SELECT sum(extract(epoch FROM upper(s) - lower(s))) FROM unnest(e.slots) AS s)
           / extract(epoch FROM m.slot))::float8 AS slots
FROM slot_exception e JOIN model m ON m.id = e.model_id
GROUP BY m.project, e.state ORDER BY m.project, e.state;

-- rates --
-- What was settled in the last five minutes.
SELECT count(*) FILTER (WHERE outcome = 'stored') AS stored, count(*) AS settled,
       coalesce(sum(rows), 0) AS rows, coalesce(sum(extract(epoch FROM covered)), 0)::float8 AS covered_seconds,
       coalesce(sum(extract(epoch FROM h.covered) / nullif(extract(epoch FROM m.slot), 0)), 0)::float8 AS covered_slots
FROM task_history h JOIN model m ON m.id = h.model_id
WHERE settled_at > ledger_now() - interval '5 minutes';

-- queue --
-- How far behind the executors are in each partition, where the queue has any. Of the hub and group that the scheduler
-- has read last: any other was configured before. What was not read for a day is history.
SELECT channel, partition, last_sequence, checkpoint, lag, read_at, hub_recreated
FROM v_queue
WHERE (channel, consumer_group) = (SELECT channel, consumer_group FROM queue_partition ORDER BY read_at DESC LIMIT 1)
  AND read_at > ledger_now() - interval '1 day'
ORDER BY length(partition), partition;

-- refused --
-- Messages of the queue that are no task for us, by cause, in the last seven days.
SELECT reason, count(*) AS messages, max(at) AS newest, (array_agg(detail ORDER BY at DESC))[1] AS example
FROM queue_refused WHERE at > ledger_now() - interval '7 days' GROUP BY reason ORDER BY reason;

-- failures --
-- What is parked, waits for another attempt, or could not be read from the queue; null matches all.
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
SELECT '', r.channel || '#' || r.partition || coalesce('@' || r.sequence, ''), 'message', r.reason, r.detail, r.at, '',
       NULL, NULL, NULL, 0
FROM queue_refused r
WHERE $1::text IS NULL AND $2::text IS NULL AND ($3::text IS NULL OR r.reason = $3)
ORDER BY 1, 2, 6 LIMIT $4;

-- failures_by_cause --
-- What is parked. Stuck are the models whose newest due slot is among it: they get no more predictions.
SELECT m.project, p.reason, count(DISTINCT p.model_id) AS models,
       count(DISTINCT p.model_id) FILTER (
           WHERE m.state IN ('active', 'unusable') AND NOT m.paused
             AND p.windows @> date_bin(m.slot, ledger_now() - m.delay, 'epoch') - m.slot
       ) AS stuck,
       min(p.since) AS since, min(p.detail) AS example
FROM parked p JOIN model m ON m.id = p.model_id GROUP BY m.project, p.reason ORDER BY 1, 2;

-- models --
SELECT m.project, m.name AS model, m.revision, m.epoch, CASE WHEN m.paused THEN 'paused' ELSE m.state END AS state,
       m.since, m.slot, m.delay, m.fold, m.anomaly, m.spec ->> 'resolution' AS resolution,
       upper(c.covered) AS covered_until, c.silent_since,
       EXISTS (SELECT FROM parked p WHERE p.model_id = m.id) AS parked
FROM model m JOIN coverage c ON c.model_id = m.id
WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
ORDER BY m.project, m.name LIMIT $3;

-- live_progress --
-- How many slots of each model that ended after $1 are settled, covered or found to have nothing to predict from.
WITH settled AS (
    SELECT c.model_id, c.covered + coalesce((SELECT range_agg(s) FROM slot_exception e, unnest(e.slots) AS s
                                             WHERE e.model_id = c.model_id), '{}') AS slots
    FROM coverage c
)
SELECT m.project, m.name AS model,
       coalesce((SELECT sum(extract(epoch FROM upper(r) - lower(r)))
                 FROM unnest(s.slots * tstzmultirange(tstzrange(date_bin(m.slot, $1::timestamptz, 'epoch'), NULL))) AS r), 0)
           / extract(epoch FROM m.slot) AS slots
FROM model m JOIN settled s ON s.model_id = m.id WHERE m.state = 'active';

-- totals --
SELECT (SELECT count(*) FROM model WHERE state = 'active') AS models,
       (SELECT coalesce(sum(greatest(extract(epoch FROM date_bin(m.slot, ledger_now() - m.delay, 'epoch') - m.since), 0)
                            / extract(epoch FROM m.slot)), 0)::float8
        FROM model m WHERE m.state = 'active') AS slots_due,
       (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r)) / extract(epoch FROM m.slot)), 0)::float8
        FROM model m JOIN coverage c ON c.model_id = m.id CROSS JOIN LATERAL unnest(c.covered) AS r) AS slots_covered,
       (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r)) / extract(epoch FROM m.slot)), 0)::float8
        FROM model m JOIN slot_exception e ON e.model_id = m.id CROSS JOIN LATERAL unnest(e.slots) AS r) AS exceptions,
       (SELECT count(*) FROM parked) AS parked,
       (SELECT coalesce(sum(rows), 0) FROM task_history) AS rows_settled,
       (SELECT count(*) FROM task_history) AS tasks_settled;
