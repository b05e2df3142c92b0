-- What a status is made of.

-- now --
SELECT ledger_now() AS now;

-- planner --
-- The scheduler that plans; no row while none holds the lease.
SELECT holder, term FROM planner WHERE lease_until > ledger_now();

-- executors --
SELECT id, version, envelope_low, envelope_high, concurrency, working_limit, in_flight, started_at, seen_at,
       drained_at, drained_by, drain_reason, drain_stops
FROM executor WHERE seen_at > ledger_now() - interval '1 minute' ORDER BY id;

-- projects --
SELECT p.name, p.revision, p.models, p.listed_at, p.error, p.doubted_since, p.outdated_since, p.outdated_revision,
       (SELECT count(*) FROM expected_model e WHERE e.project = p.name) AS not_built
FROM project p ORDER BY p.name;

-- not_built --
-- Models that servers expect and have not built, those that are expected for longest, $1 at most; models counts all.
SELECT project, name AS model, since, count(*) OVER () AS models FROM expected_model ORDER BY since, project, name LIMIT $1;

-- outstanding --
SELECT count(*) FILTER (WHERE state <> 'waiting') AS outstanding,
       count(*) FILTER (WHERE state <> 'waiting' AND lane = 'live') AS live,
       count(*) FILTER (WHERE state = 'waiting') AS waiting,
       count(*) FILTER (WHERE state = 'planned') AS unpublished,
       min(planned_at) FILTER (WHERE state <> 'waiting' AND lane = 'live') AS oldest_live_at
FROM task;

-- circuits --
SELECT downstream, reason, alarm, opened_at, pause, probe_at FROM circuit ORDER BY downstream;

-- freshness --
-- Per project: how many models, how many of them are stale ($1: the objective) and how many late, which of these are for
-- longest (model, settled until, due; $2 at most), and the oldest end. Known are also models that were unregistered by
-- hand since the project's list was read. Counted by slot first: its length in seconds is worked out once for each.
WITH judged AS (
    SELECT f.project, f.name, f.slot, f.state, f.paused, f.parked, f.parked_now, f.counts, f.stale, f.late,
           f.settled_until, f.due, f.state = 'active' AND NOT f.paused AS active,
           CASE WHEN f.state = 'gone' THEN known_state(f.state, false, f.missing_since) END AS known_state,
           f.state IN ('active', 'disabled', 'unusable')
               OR EXISTS (SELECT FROM roster o JOIN project l ON l.name = o.project
                          WHERE o.project = f.project AND o.name = f.name AND NOT o.registered AND o.at > l.listed_at) AS known,
           f.silent_since IS NOT NULL AND NOT is_dismissed(f.model_id, f.revision, 'no_readings') AS silent
    FROM model_freshness($1) f
),
counted AS (
    SELECT project, slot,
           count(*) FILTER (WHERE active) AS active,
           count(*) FILTER (WHERE known) AS known,
           count(*) FILTER (WHERE paused) AS paused,
           count(*) FILTER (WHERE state = 'unusable') AS unusable,
           count(*) FILTER (WHERE known_state = 'missing') AS missing,
           count(*) FILTER (WHERE known_state = 'retired') AS retired,
           count(*) FILTER (WHERE active AND silent) AS silent,
           count(*) FILTER (WHERE parked) AS parked,
           count(*) FILTER (WHERE counts AND NOT stale) AS fresh,
           count(*) FILTER (WHERE stale) AS stale,
           count(*) FILTER (WHERE late) AS late,
           min(settled_until) FILTER (WHERE active AND NOT parked_now) AS oldest,
           count(*) FILTER (WHERE state = 'active') / date_part('epoch', slot) AS slots_per_second,
           array_agg(name) FILTER (WHERE late) AS names,
           array_agg(settled_until) FILTER (WHERE late) AS ends,
           array_agg(due) FILTER (WHERE late) AS dues
    FROM judged GROUP BY project, slot
)
SELECT p.*, (SELECT array_agg(ROW(l.name, l.settled_until, l.due))
             FROM (SELECT u.* FROM counted c CROSS JOIN LATERAL unnest(c.names, c.ends, c.dues) AS u (name, settled_until, due)
                   WHERE c.project = p.project ORDER BY u.settled_until, u.name LIMIT $2::int) l) AS latest
FROM (
    SELECT project, sum(active)::bigint AS active, sum(known)::bigint AS known, sum(paused)::bigint AS paused,
           sum(unusable)::bigint AS unusable, sum(missing)::bigint AS missing, sum(retired)::bigint AS retired,
           sum(silent)::bigint AS silent, sum(parked)::bigint AS parked, sum(fresh)::bigint AS fresh,
           sum(stale)::bigint AS stale, sum(late)::bigint AS late, min(oldest) AS oldest,
           sum(slots_per_second) AS slots_per_second
    FROM counted GROUP BY project
) p
ORDER BY p.project;

-- summed_at --
-- When the sums over all slots were made; null: they no longer count as of now.
SELECT CASE WHEN summed_until > ledger_now() THEN summed_at END AS at FROM tally;

-- slot_totals --
SELECT project, kind, models, slots, calls FROM slot_total ORDER BY project, kind;

-- slot_totals_now --
-- As above, while no scheduler keeps them.
SELECT project, kind, models, slots, calls FROM slot_total_now ORDER BY project, kind;

-- silent_sensors --
-- The tags without readings that silent models wait for, those of most models first, $1 at most; sensors counts all.
-- What is missing is what the newest settled slot of a model lacked: a tag that has reported since is not in it.
WITH silent AS (
    SELECT m.id, m.project, c.silent_since,
           (SELECT max(upper(e.slots)) FROM slot_exception e WHERE e.model_id = m.id AND e.state = 'absent') AS newest
    FROM model m JOIN coverage c ON c.model_id = m.id
    WHERE m.state = 'active' AND NOT m.paused AND c.silent_since IS NOT NULL
      AND NOT is_dismissed(m.id, m.revision, 'no_readings')
),
waiting AS (
    SELECT s.id, s.project, tag, min(lower(stretch)) AS since
    FROM silent s
    JOIN slot_exception e ON e.model_id = s.id AND e.state = 'absent'
    CROSS JOIN LATERAL unnest(e.tags) AS tag
    CROSS JOIN LATERAL unnest(e.slots) AS stretch
    WHERE upper(stretch) > s.silent_since
    GROUP BY s.id, s.project, tag HAVING bool_or(upper(stretch) = s.newest)
)
SELECT tag, min(since) AS since, count(*) AS models, array_agg(DISTINCT project ORDER BY project) AS projects,
       count(*) OVER () AS sensors
FROM waiting GROUP BY tag ORDER BY count(*) DESC, min(since), tag LIMIT $1;

-- pauses --
-- What is paused, the newest first, $1 at most; pauses counts all.
SELECT project, model, who, at, reason, count(*) OVER () AS pauses FROM pause ORDER BY at DESC, project, model LIMIT $1;

-- changed_limits --
-- Limits that were changed at run time.
SELECT name, value, who, at, reason FROM runtime_limit ORDER BY name;

-- requests --
-- Requests for stretches of time that have not ended.
SELECT count(*) FILTER (WHERE state = 'active') AS active, count(*) FILTER (WHERE state = 'paused') AS paused
FROM request WHERE state IN ('active', 'paused');

-- settled_lately --
-- In the last two minutes, as planning counts them.
SELECT count(*) AS settled FROM task_history WHERE settled_at > (SELECT ledger_now() - interval '2 minutes');

-- open_circuits --
SELECT c.downstream, c.reason, c.alarm, c.opened_at, c.probe_at,
       (SELECT count(*) FROM coverage h WHERE h.hold_until > ledger_now() AND h.held_for = c.downstream) AS held_models
FROM circuit c ORDER BY c.downstream;

-- dismissed --
-- Models with failures that are no alarm. Where nothing is dismissed, failures are not read for it.
SELECT count(DISTINCT f.model_id) AS models FROM failing f
WHERE (SELECT EXISTS (SELECT FROM dismissal)) AND is_dismissed(f.model_id, f.revision, f.reason);

-- queue_outages --
-- Processes that cannot reach the task queue. A process that runs renews its report every few seconds.
SELECT role, count(*) AS processes, (array_agg(reason ORDER BY seen_at DESC))[1] AS reason, min(since) AS since
FROM queue_outage WHERE seen_at > ledger_now() - interval '1 minute' GROUP BY role ORDER BY role DESC;

-- bad_readings --
-- What sources had and executors skipped in the last day, most readings first; kinds counts all. Each process counts for
-- itself, and may have read the same.
SELECT place, tag, fault, max(readings) AS readings, (array_agg(example ORDER BY last_at DESC))[1] AS example,
       min(first_at) AS first_at, max(last_at) AS last_at, count(*) OVER () AS kinds
FROM bad_reading WHERE last_at > ledger_now() - interval '1 day'
GROUP BY place, tag, fault ORDER BY max(readings) DESC, place, tag, fault LIMIT $1;

-- repairs --
-- What an older write may have replaced and is predicted again; due_at is when the first of it may be.
SELECT count(*) AS models, coalesce(sum(s.slots), 0)::float8 AS slots, min(s.due_at) AS due_at,
       coalesce(array_agg(DISTINCT s.project ORDER BY s.project), '{}') AS projects
FROM (
    SELECT m.project, r.due_at,
           (SELECT sum(extract(epoch FROM upper(w) - lower(w))) / extract(epoch FROM m.slot) FROM unnest(r.windows) AS w) AS slots
    FROM (SELECT d.model_id, min(d.due_at) AS due_at,
                 range_agg(tstzrange(date_bin(o.slot, lower(s), 'epoch'),
                                     date_bin(o.slot, upper(s) - interval '1 microsecond', 'epoch') + o.slot))
                     - coalesce((SELECT range_agg(w) FROM parked p CROSS JOIN LATERAL unnest(p.windows) AS w
                                 WHERE p.model_id = d.model_id), '{}') AS windows
          FROM repair d JOIN model o ON o.id = d.model_id CROSS JOIN LATERAL unnest(d.slots) AS s
          GROUP BY d.model_id) r
    JOIN model m ON m.id = r.model_id
    WHERE m.state = 'active' AND NOT m.paused AND NOT isempty(r.windows)
) s;

-- rates --
-- What was settled in the last five minutes before $1. With the clock in their place, no index would be used.
SELECT count(*) FILTER (WHERE outcome = 'stored') AS stored, count(*) AS settled,
       coalesce(sum(rows), 0) AS rows, coalesce(sum(extract(epoch FROM covered)), 0)::float8 AS covered_seconds,
       coalesce(sum(extract(epoch FROM h.covered) / nullif(extract(epoch FROM m.slot), 0)), 0)::float8 AS covered_slots,
       coalesce(extract(epoch FROM $1 - min(h.settled_at)), 0)::float8 AS busy_seconds
FROM task_history h JOIN model m ON m.id = h.model_id
WHERE settled_at > $1::timestamptz - interval '5 minutes';

-- speed --
-- Learned from the newest thousand tasks that were stored, within a day before $1: seconds from claim to settle, in lane live
-- and in all others, each else of any lane; and how many calls the model servers take at once, as executors have learned. While an
-- executor is full, its tasks wait for each other, and as many run as it has.
SELECT coalesce(avg(seconds) FILTER (WHERE lane = 'live'), avg(seconds))::float8 AS live,
       coalesce(avg(seconds) FILTER (WHERE lane <> 'live'), avg(seconds))::float8 AS backlog,
       (SELECT sum(CASE WHEN in_flight >= concurrency THEN concurrency ELSE least(working_limit, concurrency) END)
        FROM executor WHERE seen_at > ledger_now() - interval '1 minute' AND drained_at IS NULL)::float8 AS at_once
FROM (SELECT lane, extract(epoch FROM settled_at - claimed_at) AS seconds FROM task_history
      WHERE settled_at > $1::timestamptz - interval '1 day' AND outcome = 'stored' AND claimed_at IS NOT NULL
      ORDER BY settled_at DESC LIMIT 1000) h;

-- queue --
-- How far behind the executors are in each partition, where the queue has any. Of the hub and group that the scheduler
-- has read last: any other was configured before. Partitions that were not read for a day are history.
SELECT channel, partition, last_sequence, checkpoint, lag, read_at, hub_recreated
FROM v_queue
WHERE (channel, consumer_group) = (SELECT channel, consumer_group FROM queue_partition ORDER BY read_at DESC LIMIT 1)
  AND read_at > ledger_now() - interval '1 day'
ORDER BY length(partition), partition;

-- refused --
-- Messages of the queue that are no task for us, by cause, in the last seven days.
SELECT reason, count(*) AS messages, max(at) AS newest, (array_agg(detail ORDER BY at DESC))[1] AS example
FROM queue_refused WHERE at > ledger_now() - interval '7 days' GROUP BY reason ORDER BY reason;

-- mismatches --
-- Messages that the ledger in its incarnation cannot have sent. Those of other ledgers are history after seven days.
SELECT q.kind, q.task_id AS task, q.first_at, q.last_at, q.detail AS example
FROM queue_mismatch q JOIN ledger_identity l ON l.incarnation = q.incarnation
WHERE q.kind <> 'other_ledger' OR q.last_at > ledger_now() - interval '7 days'
ORDER BY q.last_at DESC, q.kind;


-- unstored --
-- Models whose newest settled slot lacks rows that its readings allow, by project and cause; $1 names of each at most.
SELECT m.project, split_part(e.reason, ':', 1) AS reason, count(DISTINCT m.name) AS models,
       (array_agg(DISTINCT m.name))[1:$1::int] AS names, min(e.reason) AS example
FROM slot_exception e JOIN model m ON m.id = e.model_id JOIN coverage c ON c.model_id = m.id
WHERE split_part(e.reason, ':', 1) IN ('no_finite_values', 'not_stored') AND m.state = 'active' AND NOT m.paused
  AND upper(e.slots) > coalesce(upper(c.covered), '-infinity')
  AND NOT EXISTS (SELECT FROM slot_exception n WHERE n.model_id = e.model_id AND upper(n.slots) > upper(e.slots))
  AND NOT EXISTS (SELECT FROM parked p WHERE p.model_id = e.model_id
                  AND coalesce(upper(p.windows), 'infinity') > upper(e.slots))
  AND NOT is_dismissed(m.id, m.revision, split_part(e.reason, ':', 1))
GROUP BY 1, 2 ORDER BY 1, 2;

-- failures_by_cause --
-- What is parked and not dismissed. Stuck are the models whose newest due slot is among it: they get no more predictions. So are those whose
-- slot before it is, until the newest one has ended otherwise.
SELECT m.project, p.reason, count(DISTINCT p.model_id) AS models,
       count(DISTINCT p.model_id) FILTER (
           WHERE m.state IN ('active', 'unusable') AND NOT m.paused
             AND (p.windows @> n.newest
                  OR (p.windows @> n.newest - m.slot AND NOT c.covered @> n.newest
                      AND NOT EXISTS (SELECT FROM slot_exception e WHERE e.model_id = m.id AND e.slots @> n.newest)))
       ) AS stuck,
       min(p.since) AS since, min(p.detail) AS example,
       CASE WHEN bool_and(cardinality(p.tags) = 1) AND min(p.tags[1]) = max(p.tags[1]) THEN min(p.tags[1]) END AS sensor
FROM parked p JOIN model m ON m.id = p.model_id JOIN coverage c ON c.model_id = m.id
CROSS JOIN LATERAL (SELECT date_bin(m.slot, ledger_now() - m.delay, 'epoch') - m.slot AS newest) n
WHERE NOT is_dismissed(p.model_id, p.revision, p.reason)
GROUP BY m.project, p.reason ORDER BY 1, 2;

-- sinks --
-- What required sinks lack of models that are predicted, and the newest request that copies it: one that is active, or
-- else paused.
SELECT s.name AS sink, s.since, count(*) FILTER (WHERE NOT isempty(l.lacks)) AS models,
       sum(count_slots(l.lacks, m.slot))::bigint AS slots, sum(count_slots(l.lost, m.slot))::bigint AS lost,
       r.id AS request, coalesce(r.state = 'paused', false) AS request_paused
FROM sink s JOIN sink_lacks l ON l.sink = s.name JOIN model m ON m.id = l.model_id AND m.state = 'active'
LEFT JOIN LATERAL (SELECT q.id, q.state FROM request q WHERE q.sink = s.name AND q.state IN ('active', 'paused')
                   ORDER BY q.state, q.id DESC LIMIT 1) r ON true
WHERE NOT isempty(l.lacks) OR NOT isempty(l.lost)
GROUP BY s.name, s.since, r.id, r.state ORDER BY s.name;

-- lateness --
-- How late the newest slots of the last 7 days were when they were read, by source.
SELECT source, bound, sum(slots)::bigint AS slots, coalesce(sum(slots) FILTER (WHERE complete), 0)::bigint AS complete
FROM lateness GROUP BY source, bound ORDER BY source, bound;

-- discovery --
SELECT source, error, alarm, failing_since, quarantined_since FROM discovery
WHERE failing_since IS NOT NULL OR quarantined_since IS NOT NULL;

-- unposted_metadata --
-- Those that failed. What was due long ago is no longer tried by anyone: the settings no longer have its sink.
SELECT count(*) AS models, min(stored_at) AS since, coalesce((array_agg(error ORDER BY next_try DESC))[1], '') AS error
FROM prediction_metadata
WHERE posted_at IS NULL AND error <> '' AND next_try > ledger_now() - interval '1 hour';

-- receivers --
-- Executors that take tasks out of the ledger's database.
SELECT r.id AS receiver, r.seen_at, count(q.task_id) AS taken
FROM queue_receiver r LEFT JOIN queued_task q ON q.taken_by = r.id GROUP BY r.id, r.seen_at ORDER BY r.id;

-- queued --
-- Tasks in the ledger's database that no executor has taken.
SELECT count(*) AS queued, min(sent_at) AS oldest FROM queued_task WHERE taken_by IS NULL;
