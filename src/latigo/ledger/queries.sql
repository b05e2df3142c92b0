-- clock --
-- The ledger's time beside the database's own.
SELECT ledger_now() AS ledger, clock_timestamp() AS database;

-- ensure_history --
-- The days that need a partition of task_history and have none yet: yesterday to the day after tomorrow.
SELECT day::date AS day
FROM generate_series(date_trunc('day', ledger_now() AT TIME ZONE 'UTC') - interval '1 day',
                     date_trunc('day', ledger_now() AT TIME ZONE 'UTC') + interval '2 days',
                     interval '1 day') AS day
WHERE to_regclass('task_history_' || to_char(day, 'YYYYMMDD')) IS NULL;

-- old_history --
-- Partitions of task_history that hold nothing younger than $1.
SELECT c.relname AS name
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'task_history'::regclass
  AND c.relname < 'task_history_' || to_char((ledger_now() - $1::interval) AT TIME ZONE 'UTC', 'YYYYMMDD');

-- take_lease --
-- Become or stay the one scheduler that plans. The term rises when the lease changes hands.
UPDATE planner
SET term = CASE WHEN holder = $1 AND lease_until > ledger_now() THEN term ELSE term + 1 END,
    holder = $1,
    lease_until = ledger_now() + $2::interval
WHERE holder = $1 OR lease_until <= ledger_now()
RETURNING term;

-- drop_lease --
UPDATE planner SET lease_until = '-infinity' WHERE holder = $1 AND term = $2;

-- hold_lease --
-- Inside every planning transaction: no row, and someone else plans. The lock keeps the lease from changing hands
-- before the transaction ends.
SELECT term FROM planner WHERE holder = $1 AND term = $2 AND lease_until > ledger_now() FOR SHARE;

-- planner --
SELECT holder, term, lease_until, lease_until > ledger_now() AS held FROM planner;

-- needs --
-- desired - actual, model by model, as far as it can be planned now: `live` reaches from the newest due slot back over
-- the contiguous gap, `back` is the newest other hole; neither is longer than the model's fold. $1: max_catch_up.
-- Steps are materialised, or every expression would be worked out anew wherever a later step uses it.
WITH topped AS MATERIALIZED (
    SELECT h.*, (SELECT r FROM unnest(h.recent * tstzmultirange(tstzrange(h.due - h.fold, h.due))) AS r
                 WHERE upper(r) = h.due) AS top
    FROM (SELECT model_id, slot, fold, due, covered_end, live_out, back_out, cut,
                 date_bin(slot, at - $1::interval, 'epoch') + slot AS edge,
                 recent * tstzmultirange(tstzrange(date_bin(slot, at - $1::interval, 'epoch') + slot, NULL)) AS recent
          FROM model_holes WHERE NOT held OFFSET 0) h
),
below AS MATERIALIZED (
    SELECT t.*, CASE WHEN t.back_out THEN '{}'
                     WHEN t.top IS NULL THEN t.recent
                     ELSE t.recent - tstzmultirange(t.top) END AS near
    FROM topped t
),
-- Only models whose newest hole may begin before their last days are looked at as a whole.
far AS MATERIALIZED (
    SELECT h.model_id, h.holes FROM model_holes h
    WHERE h.model_id IN (SELECT b.model_id FROM below b
                         WHERE b.cut AND NOT b.back_out
                           AND coalesce(upper(b.near) - b.fold < b.due - b.fold * 4, true))
),
rest AS MATERIALIZED (
    SELECT b.model_id, b.covered_end, b.fold, b.live_out, b.top,
           CASE WHEN f.model_id IS NULL THEN b.near
                ELSE f.holes * tstzmultirange(tstzrange(least(b.edge, b.due), coalesce(lower(b.top), b.due))) END AS holes
    FROM below b LEFT JOIN far f ON f.model_id = b.model_id
),
found AS MATERIALIZED (
    SELECT r.model_id, r.covered_end, CASE WHEN NOT r.live_out THEN r.top END AS live,
           (SELECT w FROM unnest(r.holes * tstzmultirange(tstzrange(upper(r.holes) - r.fold, upper(r.holes)))) AS w
            ORDER BY w DESC LIMIT 1) AS back
    FROM rest r
)
SELECT f.model_id, m.project, m.name, m.epoch, f.covered_end, f.live, f.back
FROM found f JOIN model m ON m.id = f.model_id
WHERE f.live IS NOT NULL OR f.back IS NOT NULL;

-- outstanding --
-- How much is out, how much was settled in the last two minutes, and the newest envelope that all executors can read.
SELECT count(*) FILTER (WHERE state <> 'waiting') AS outstanding,
       count(*) FILTER (WHERE state <> 'waiting' AND lane = 'live') AS live,
       count(*) FILTER (WHERE state = 'waiting') AS waiting,
       count(*) FILTER (WHERE state = 'planned') AS unpublished,
       EXISTS (SELECT FROM model WHERE stale_metadata AND model.state IN ('active', 'disabled', 'unusable'))
           AS stale_metadata,
       (SELECT min(envelope_high) FROM executor WHERE seen_at > ledger_now() - interval '2 minutes') AS readable,
       (SELECT count(*) FROM task_history WHERE settled_at > ledger_now() - interval '2 minutes') AS settled
FROM task;

-- plan_tasks --
-- Remember tasks as planned. What was covered, planned or changed since the needs were read falls out silently.
INSERT INTO task (model_id, epoch, span, lane, state, probe, trace, planned_at)
SELECT n.model_id, n.epoch, tstzrange(n.low, n.high), n.lane, 'planned', n.probe, n.trace, ledger_now()
FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::boolean[], $7::text[])
     AS n (model_id, epoch, low, high, lane, probe, trace)
JOIN model m ON m.id = n.model_id AND m.epoch = n.epoch AND m.state = 'active' AND NOT m.paused
JOIN coverage c ON c.model_id = n.model_id AND NOT c.covered && tstzrange(n.low, n.high)
WHERE NOT EXISTS (SELECT FROM task t WHERE t.model_id = n.model_id AND t.span && tstzrange(n.low, n.high))
ON CONFLICT DO NOTHING
RETURNING id;

-- wake_waiting --
-- Tasks whose back-off is over go out again, unless their lane is taken or their project ($1) is blocked; $2 at most.
UPDATE task SET state = 'planned', channel = ''
WHERE id IN (
    SELECT DISTINCT ON (t.model_id, t.lane = 'live') t.id
    FROM task t JOIN model m ON m.id = t.model_id
    WHERE t.state = 'waiting' AND t.not_before <= ledger_now() AND NOT m.paused AND m.state = 'active'
      AND m.project <> ALL ($1::text[])
      AND NOT EXISTS (SELECT FROM task o WHERE o.model_id = t.model_id AND o.state <> 'waiting'
                                           AND (o.lane = 'live') = (t.lane = 'live'))
    ORDER BY t.model_id, t.lane = 'live', t.not_before
    LIMIT $2
)
RETURNING id;

-- wake_probe --
-- One task of a blocked project ($1) whose back-off is over goes out as a probe.
UPDATE task SET state = 'planned', channel = '', probe = true
WHERE id = (
    SELECT t.id
    FROM task t JOIN model m ON m.id = t.model_id
    WHERE t.state = 'waiting' AND t.not_before <= ledger_now() AND NOT m.paused AND m.state = 'active'
      AND m.project = $1
      AND NOT EXISTS (SELECT FROM task o WHERE o.model_id = t.model_id AND o.state <> 'waiting'
                                           AND (o.lane = 'live') = (t.lane = 'live'))
    ORDER BY t.not_before
    LIMIT 1
)
RETURNING id;

-- unpublished --
-- Planned and not marked as published: new ones, and those whose publishing is not known to have worked.
SELECT t.id, t.epoch, t.span, t.lane, t.probe, t.trace, m.project, m.name, m.revision, m.slot, m.anomaly, m.spec
FROM task t JOIN model m ON m.id = t.model_id AND m.epoch = t.epoch
WHERE t.state = 'planned' AND NOT m.paused
ORDER BY (t.lane = 'live') DESC, t.id
LIMIT $1;

-- mark_published --
-- After they were sent: what was in the queue at this time had them.
UPDATE task t SET state = 'published', channel = s.place, published_at = ledger_now()
FROM unnest($1::bigint[], $2::text[]) AS s (id, place)
WHERE t.id = s.id AND t.state = 'planned';

-- forget_superseded --
-- Tasks of an older epoch, and of models that are not predicted any more. A claimed one ends by itself; its settle
-- finds nothing. One that is being settled at this moment is passed over, or both could deadlock.
DELETE FROM task t
USING (SELECT o.id FROM task o JOIN model m ON m.id = o.model_id
       WHERE o.epoch <> m.epoch OR m.state <> 'active' FOR UPDATE OF o SKIP LOCKED) free
WHERE t.id = free.id
RETURNING t.id;

-- lost_tasks --
-- Claims whose lease has run out; tasks in a queue that is not the one in use ($1), such as that of a process that is
-- gone; tasks whose partition has been drained since they were put into it, and that nobody has claimed; and tasks in
-- an envelope that an executor could not read, which are written again in one that all can. Whatever someone has in hand
-- at this moment is not lost, and waiting for it could deadlock with a settle.
UPDATE task t SET state = 'planned', claimed_by = NULL, lease_until = NULL, channel = ''
FROM (
    SELECT o.id FROM task o
    WHERE (o.state = 'claimed' AND o.lease_until <= ledger_now())
       OR (o.state = 'published' AND split_part(o.channel, '#', 1) <> $1)
       OR (o.state = 'published' AND EXISTS (
              SELECT FROM queue_partition p
              WHERE p.channel = $1 AND p.channel || '#' || p.partition = o.channel AND o.published_at < p.drained_to))
       OR (o.state = 'published' AND EXISTS (
              SELECT FROM queue_refused r
              WHERE r.channel = $1 AND r.task_id = o.id AND r.reason = 'too_new' AND r.at > o.published_at))
    FOR UPDATE OF o SKIP LOCKED
) free
WHERE t.id = free.id
RETURNING t.id, t.model_id, t.starts, t.span;

-- unsendable --
-- Tasks that are larger than any message of the queue may be.
SELECT t.id, t.model_id, t.span, m.revision, r.detail
FROM task t JOIN model m ON m.id = t.model_id
JOIN queue_refused r ON r.task_id = t.id AND r.reason = 'too_large'
WHERE t.state = 'planned' FOR UPDATE OF t;

-- killers --
-- Tasks that were started alone as often as $1 and never settled.
SELECT t.id, t.model_id, t.span, t.starts, m.revision
FROM task t JOIN model m ON m.id = t.model_id
WHERE t.state = 'planned' AND t.starts > $1 FOR UPDATE OF t;

-- expire --
-- Holes that fall behind max_catch_up ($1) are given up, and recorded. Exceptions that do are recorded with them and
-- forgotten; those that nobody was going to look at again are not told of. What is being settled at this moment is passed
-- over: waiting for it could deadlock with its batch.
WITH edge AS (
    SELECT m.id, m.since, date_bin(m.slot, ledger_now() - $1::interval, 'epoch') + m.slot AS low FROM model m
    WHERE m.state = 'active'
),
left_behind AS MATERIALIZED (
    SELECT c.model_id, e.low,
           tstzmultirange(tstzrange(e.since, e.low)) - c.covered - c.expired
               - coalesce((SELECT range_agg(t.span) FROM task t WHERE t.model_id = e.id), '{}')
               - coalesce((SELECT range_agg(s) FROM parked p, unnest(p.windows) AS s WHERE p.model_id = e.id), '{}')
               AS slots
    FROM edge e JOIN coverage c ON c.model_id = e.id
    WHERE e.since < e.low
),
free AS MATERIALIZED (
    SELECT l.model_id, l.low, l.slots FROM left_behind l JOIN coverage c ON c.model_id = l.model_id
    WHERE NOT isempty(l.slots) FOR UPDATE OF c SKIP LOCKED
),
forgotten AS (
    DELETE FROM slot_exception x USING free f WHERE x.model_id = f.model_id AND upper(x.slots) <= f.low
),
cut AS (
    UPDATE slot_exception x SET slots = x.slots * tstzmultirange(tstzrange(f.low, NULL)) FROM free f
    WHERE x.model_id = f.model_id AND lower(x.slots) < f.low AND upper(x.slots) > f.low
)
UPDATE coverage c SET expired = c.expired + f.slots
FROM free f JOIN model m ON m.id = f.model_id WHERE c.model_id = f.model_id
RETURNING m.project, m.name, m.slot, f.slots - coalesce((SELECT range_agg(s) FROM slot_exception x, unnest(x.slots) AS s
                                          WHERE x.model_id = f.model_id AND x.next_look = 'infinity'), '{}') AS slots;

-- claim --
-- The right to work on a task, taken before any other I/O. No row: someone else has it, or it is stale.
-- A task that was started before and never settled is not counted as started here: it waits to run alone.
UPDATE task t
SET state = 'claimed', claim = t.claim + 1, claimed_by = $3, claimed_at = ledger_now(),
    lease_until = ledger_now() + $4::interval, starts = greatest(t.starts, 1)
FROM (SELECT id, starts FROM task WHERE id = $1 FOR UPDATE) was, model m
WHERE t.id = was.id AND t.epoch = $2 AND m.id = t.model_id AND m.epoch = t.epoch
  AND m.state = 'active' AND NOT m.paused
  AND (t.state IN ('planned', 'published') OR (t.state = 'claimed' AND t.lease_until <= ledger_now()))
RETURNING t.claim, t.attempts, was.starts AS unsettled_starts, t.stored_in;

-- start_alone --
UPDATE task SET starts = starts + 1, lease_until = ledger_now() + $3::interval
WHERE id = $1 AND claim = $2 AND state = 'claimed'
RETURNING starts;

-- renew --
-- Prolong leases; what does not come back is ours no more. Locks in the order of `settle_lock`.
UPDATE task t SET lease_until = ledger_now() + $3::interval
FROM (
    SELECT o.id FROM unnest($1::bigint[], $2::integer[]) AS mine (id, claim)
    JOIN task o ON o.id = mine.id AND o.claim = mine.claim AND o.state = 'claimed'
    ORDER BY o.model_id, o.id
    FOR UPDATE OF o
) ours
WHERE t.id = ours.id
RETURNING t.id;

-- release --
-- Hand back what was not begun or not finished; it goes out again at once, with as many starts ($3) as before.
UPDATE task t
SET state = 'planned', claimed_by = NULL, lease_until = NULL, channel = '', starts = mine.starts
FROM unnest($1::bigint[], $2::integer[], $3::integer[]) AS mine (id, claim, starts)
WHERE t.id = mine.id AND t.claim = mine.claim AND t.state = 'claimed'
RETURNING t.id;

-- settle_lock --
-- Which of these claims still stand. Locks tasks by model and id, and with them the coverage of their models, which stands
-- for all that is known of a model: who is to change several models locks it first and by model, so that nobody deadlocks.
SELECT t.id
FROM unnest($1::bigint[], $2::integer[]) AS mine (id, claim)
JOIN task t ON t.id = mine.id AND t.claim = mine.claim AND t.state = 'claimed'
JOIN coverage c ON c.model_id = t.model_id
ORDER BY t.model_id, t.id
FOR UPDATE OF t, c;

-- settling --
-- Which of the locked tasks ($1) count, and their models. A statement of its own: one that has waited for a lock still sees
-- the rest as it was before, and the epoch may have risen meanwhile.
SELECT t.id, t.model_id, t.span, t.lane, t.attempts, m.revision, m.slot, c.silent_since, c.deferrals,
       EXISTS (SELECT FROM slot_exception e WHERE e.model_id = t.model_id AND e.slots && t.span) AS touches,
       ledger_now() AS now
FROM task t
JOIN model m ON m.id = t.model_id AND m.epoch = t.epoch
JOIN coverage c ON c.model_id = t.model_id
WHERE t.id = ANY ($1::bigint[])
ORDER BY t.model_id, t.id;

-- finish_tasks --
-- A finished task leaves the table of work that is out and becomes history.
WITH gone AS (
    DELETE FROM task t
    USING unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::interval[])
          AS s (id, outcome, reason, detail, rows, covered)
    WHERE t.id = s.id
    RETURNING t.*, s.outcome, s.reason, s.detail AS said, s.rows, s.covered
)
INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, reason, detail, attempts, starts, rows,
                          covered, claimed_by, planned_at, claimed_at, settled_at)
SELECT g.id, g.model_id, m.revision, g.epoch, g.span, g.lane, g.outcome, g.reason, g.said, g.attempts, g.starts, g.rows,
       g.covered, g.claimed_by, g.planned_at, g.claimed_at, ledger_now()
FROM gone g JOIN model m ON m.id = g.model_id;

-- keep_waiting --
-- A task that is tried again as it is: it keeps its window, its attempts and the sinks that have its result.
UPDATE task t
SET state = 'waiting', not_before = s.not_before, attempts = s.attempts, starts = 0, claimed_by = NULL,
    lease_until = NULL, probe = false, detail = s.detail,
    stored_in = ARRAY(SELECT DISTINCT sink FROM unnest(t.stored_in || string_to_array(nullif(s.sinks, ''), ',')) AS sink)
FROM unnest($1::bigint[], $2::timestamptz[], $3::integer[], $4::text[], $5::text[])
     AS s (id, not_before, attempts, detail, sinks)
WHERE t.id = s.id;

-- update_coverage --
UPDATE coverage c
SET covered = c.covered + s.covered::tstzmultirange,
    silent_since = s.silent_since, hold_until = s.hold_until, held_for = s.held_for, deferrals = s.deferrals
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::integer[])
     AS s (model_id, covered, silent_since, hold_until, held_for, deferrals)
WHERE c.model_id = s.model_id;

-- take_exceptions --
-- Out of the table, to be put back as they are from now on: the exceptions of each model that touch a stretch of time.
-- ANY, or a plan that was made while the table was small reads all of it.
DELETE FROM slot_exception e
USING unnest($1::bigint[], $2::tstzrange[]) AS s (model_id, stretch)
WHERE e.model_id = ANY ($1) AND e.model_id = s.model_id AND e.slots && s.stretch
RETURNING e.model_id, e.state, e.reason, e.looks, e.next_look, e.slots;

-- add_exceptions --
INSERT INTO slot_exception AS e (model_id, state, reason, looks, next_look, slots)
SELECT n.model_id, n.state, n.reason, n.looks, n.next_look, n.slots::tstzmultirange
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::smallint[], $5::timestamptz[], $6::text[])
     AS n (model_id, state, reason, looks, next_look, slots)
ON CONFLICT (model_id, next_look, state, looks, reason) DO UPDATE SET slots = e.slots + excluded.slots;

-- park --
INSERT INTO parked AS p (model_id, revision, reason, detail, windows, since, version)
SELECT s.model_id, s.revision, s.reason, s.detail, range_agg(s.span), ledger_now(), $6
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::tstzrange[]) AS s (model_id, revision, reason, detail, span)
GROUP BY s.model_id, s.revision, s.reason, s.detail
ON CONFLICT (model_id, revision, reason)
DO UPDATE SET windows = p.windows + excluded.windows, detail = excluded.detail, version = excluded.version;

-- learn --
-- What executors found out about models.
UPDATE model m
SET anomaly = CASE WHEN s.plain THEN false ELSE m.anomaly END,
    stale_metadata = m.stale_metadata OR s.stale,
    fold_limit = coalesce(s.fold, m.fold_limit)
FROM unnest($1::bigint[], $2::boolean[], $3::boolean[], $4::interval[]) AS s (model_id, plain, stale, fold)
WHERE m.id = s.model_id;

-- register_executor --
INSERT INTO executor (id, version, envelope_low, envelope_high, concurrency, started_at, seen_at)
VALUES ($1, $2, $3, $4, $5, ledger_now(), ledger_now())
ON CONFLICT (id) DO UPDATE SET seen_at = ledger_now();

-- beat --
UPDATE executor SET seen_at = ledger_now(), in_flight = $2, working_limit = $3 WHERE id = $1;

-- unregister_executor --
DELETE FROM executor WHERE id = $1;

-- forget_executors --
DELETE FROM executor WHERE seen_at < ledger_now() - interval '1 hour';

-- executors --
SELECT id, version, envelope_low, envelope_high, concurrency, working_limit, in_flight, started_at, seen_at
FROM executor WHERE seen_at > ledger_now() - interval '1 minute' ORDER BY id;

-- circuits --
SELECT downstream, reason, alarm, opened_at, pause, probe_at, probe_at <= ledger_now() AS probe_due FROM circuit
ORDER BY downstream;

-- open_circuit --
-- Whoever finds it open already adds nothing but the newest reason.
INSERT INTO circuit AS c (downstream, reason, alarm, opened_at, pause, probe_at)
VALUES ($1, $2, $3, ledger_now(), $4::interval, ledger_now() + $4::interval)
ON CONFLICT (downstream) DO UPDATE SET reason = excluded.reason, alarm = excluded.alarm;

-- probe_failed --
UPDATE circuit SET pause = least(pause * 2, $3::interval), probe_at = ledger_now() + least(pause * 2, $3::interval),
                   reason = $2
WHERE downstream = $1;

-- close_circuit --
DELETE FROM circuit WHERE downstream = $1 RETURNING downstream;

-- release_holds --
-- Whatever was deferred for a downstream ($1) may go out again. What is being settled at this moment is passed over:
-- waiting for it could deadlock with its batch.
UPDATE coverage c SET hold_until = NULL
FROM (SELECT model_id FROM coverage WHERE hold_until > ledger_now() AND held_for = $1 FOR UPDATE SKIP LOCKED) held
WHERE c.model_id = held.model_id;

-- probe_sent --
UPDATE circuit SET probe_at = ledger_now() + pause WHERE downstream = ANY ($1::text[]);

-- take_probe --
UPDATE circuit SET probe_at = ledger_now() + pause WHERE downstream = $1 AND probe_at <= ledger_now()
RETURNING downstream;

-- probing --
-- Projects that have a probe out: one at a time.
SELECT DISTINCT m.project FROM task t JOIN model m ON m.id = t.model_id WHERE t.probe AND t.state <> 'waiting';

-- projects --
SELECT name, revision, models, listed_at, error, doubted_since, doubted_models, accept_loss FROM project ORDER BY name;

-- project_listed --
INSERT INTO project AS p (name, revision, models, listed_at) VALUES ($1, $2, $3, ledger_now())
ON CONFLICT (name) DO UPDATE
SET revision = excluded.revision, models = excluded.models, listed_at = ledger_now(), error = '',
    doubted_since = NULL, doubted_models = 0, accept_loss = false;

-- project_failed --
-- What could not be looked at has not stood.
INSERT INTO project (name, error) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET error = excluded.error, doubted_since = NULL, doubted_models = 0;

-- project_doubted --
-- A list of another length ($2) is another one, and has just begun to stand.
UPDATE project
SET doubted_since = CASE WHEN doubted_models = $2 THEN coalesce(doubted_since, ledger_now()) ELSE ledger_now() END,
    doubted_models = $2, error = ''
WHERE name = $1;

-- forget_project --
DELETE FROM project WHERE name = $1;

-- known_models --
SELECT id, name, revision, state, stale_metadata, slot, delay, fold, spec ->> 'resolution' AS resolution
FROM model WHERE project = $1;

-- lock_models --
-- In the order of `settle_lock`: what is being settled ends first.
SELECT c.model_id
FROM unnest($1::text[], $2::text[]) AS n (project, name)
JOIN model m ON m.project = n.project AND m.name = n.name
JOIN coverage c ON c.model_id = m.id
ORDER BY c.model_id
FOR UPDATE OF c;

-- model_states --
-- What is known of these models, once they are locked; what is covered is told only where the slots become others.
SELECT m.project, m.name, m.epoch, m.slot, CASE WHEN m.slot <> n.slot THEN c.covered ELSE '{}' END AS covered
FROM unnest($1::text[], $2::text[], $3::interval[]) AS n (project, name, slot)
JOIN model m ON m.project = n.project AND m.name = n.name
JOIN coverage c ON c.model_id = m.id;

-- upsert_models --
-- Models as their metadata describes them now. The epoch rises when anything that changes predictions has changed.
-- Revisions only move forward: an older one than is known changes nothing.
INSERT INTO model AS m (project, name, revision, state, since, slot, delay, fold, spec, anomaly, first_seen)
SELECT n.project, n.name, n.revision, n.state, n.since, n.slot, n.delay, n.fold, n.spec, n.anomaly, ledger_now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::interval[], $7::interval[],
            $8::interval[], $9::jsonb[], $10::boolean[])
     AS n (project, name, revision, state, since, slot, delay, fold, spec, anomaly)
ON CONFLICT (project, name) DO UPDATE
SET epoch = CASE WHEN m.revision <> excluded.revision OR m.spec IS DISTINCT FROM excluded.spec OR m.slot <> excluded.slot
                 THEN m.epoch + 1 ELSE m.epoch END,
    fold = excluded.fold,
    fold_limit = CASE WHEN m.revision = excluded.revision AND m.slot = excluded.slot THEN m.fold_limit END,
    anomaly = CASE WHEN m.revision <> excluded.revision OR m.anomaly IS NULL THEN excluded.anomaly ELSE m.anomaly END,
    revision = excluded.revision, state = excluded.state, slot = excluded.slot, delay = excluded.delay,
    since = date_bin(excluded.slot, m.since, 'epoch'), spec = excluded.spec, stale_metadata = false
WHERE excluded.revision::numeric >= m.revision::numeric
RETURNING id, project, name, revision, epoch;

-- upsert_unusable --
-- A model that nobody can predict in this revision. A known one keeps its slots, where it begins and all that is settled;
-- a new one begins its horizon ($4) ago, to be aligned once its slots are known. Revisions only move forward.
INSERT INTO model AS m (project, name, revision, state, since, slot, delay, fold, first_seen)
VALUES ($1, $2, $3, 'unusable', ledger_now() - $4::interval, interval '1 day', interval '0', interval '1 day', ledger_now())
ON CONFLICT (project, name) DO UPDATE
SET epoch = CASE WHEN m.revision <> excluded.revision OR m.spec IS NOT NULL THEN m.epoch + 1 ELSE m.epoch END,
    fold_limit = CASE WHEN m.revision = excluded.revision THEN m.fold_limit END,
    anomaly = CASE WHEN m.revision = excluded.revision THEN m.anomaly END,
    revision = excluded.revision, state = excluded.state, spec = NULL, stale_metadata = false
WHERE excluded.revision::numeric >= m.revision::numeric
RETURNING id;

-- ensure_coverage --
INSERT INTO coverage (model_id) SELECT unnest($1::bigint[]) ON CONFLICT DO NOTHING;

-- realign --
-- The slots of a model have a new length: settled time is kept as far as it fills whole new slots.
WITH forgotten AS (DELETE FROM slot_exception WHERE model_id = $1)
UPDATE coverage SET covered = $2::text::tstzmultirange, expired = '{}', silent_since = NULL WHERE model_id = $1;

-- unpark_older --
-- A new revision is a new chance; and metadata that can be used now is not bad any more.
DELETE FROM parked p USING model m
WHERE m.id = ANY ($1::bigint[]) AND p.model_id = m.id
  AND (p.revision <> m.revision OR (p.reason = 'bad_metadata' AND m.state <> 'unusable'));

-- unpark_listed --
-- The model server lists these again.
DELETE FROM parked p USING model m
WHERE m.id = p.model_id AND p.reason = 'model_gone' AND m.project = $1 AND m.name = ANY ($2::text[]);

-- unpark_crashes --
-- A new version of Latigo may have mended it.
DELETE FROM parked WHERE reason = 'crashed' AND version <> $1 RETURNING model_id;

-- set_state --
-- These models are predicted no more. What was parked because they were missing or could not be understood is found out
-- anew when they come back.
WITH changed AS (
    UPDATE model SET state = $3, stale_metadata = false
    WHERE project = $1 AND name = ANY ($2::text[]) AND state <> $3 RETURNING id, name
),
unparked AS (
    DELETE FROM parked p USING changed c WHERE p.model_id = c.id AND p.reason IN ('bad_metadata', 'model_gone')
)
SELECT name FROM changed;

-- reschedule --
-- Settings of schedule and overrides may change between starts.
UPDATE model m SET delay = s.delay, fold = s.fold, state = s.state
FROM unnest($1::bigint[], $2::interval[], $3::interval[], $4::text[]) AS s (id, delay, fold, state)
WHERE m.id = s.id;

-- roster --
SELECT project, name, registered, data, who, at FROM roster ORDER BY project, name;

-- roster_put --
INSERT INTO roster (project, name, registered, data, who, at) VALUES ($1, $2, $3, $4, $5, ledger_now())
ON CONFLICT (project, name) DO UPDATE SET registered = $3, data = $4, who = $5, at = ledger_now();
