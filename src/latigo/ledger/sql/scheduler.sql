-- The scheduler: the lease to plan, needs, tasks on their way to the queue, recovery and upkeep.

-- acquire_lease --
-- Acquire or renew the lease to plan. The term rises unless a lease is renewed that still holds.
UPDATE planner
SET term = CASE WHEN lease_until > ledger_now() THEN term ELSE term + 1 END,
    holder = $1,
    lease_until = ledger_now() + $2::interval
WHERE holder = $1 OR lease_until <= ledger_now()
RETURNING term;

-- release_lease --
UPDATE planner SET lease_until = '-infinity' WHERE holder = $1 AND term = $2;

-- needs --
-- desired - actual, model by model, as far as it can be planned now: `live` reaches from the newest due slot back over
-- the contiguous gap, `backfill` is the newest other hole, `repair` the newest window that an overtaken claim may have
-- written over, `manual` the newest of the smallest request; none is longer than the model's fold. $1: max_catch_up.
-- Columns are read by their place; the last are begin and end of each lane's window: the driver reads times at half the cost of ranges.
-- Steps are kept apart, by MATERIALIZED or OFFSET 0, or every expression would be evaluated anew wherever a later step
-- uses it. Stretches are unnested only where they are several, which costs more.
WITH running AS MATERIALIZED (
    SELECT array_agg(r.id) AS ids FROM request_running r LEFT JOIN request_room o ON o.id = r.id
    WHERE coalesce(o.room > 0, true)
),
below AS MATERIALIZED (
    SELECT t.*, CASE WHEN t.back_out THEN '{}'
                     WHEN t.top IS NULL THEN t.recent
                     ELSE t.recent - tstzmultirange(t.top) END AS near
    FROM (
        SELECT h.*, CASE WHEN coalesce(upper(h.recent) < h.due, true) THEN NULL
                         WHEN h.recent @> tstzrange(h.due - h.fold, h.due) THEN tstzrange(h.due - h.fold, h.due)
                         ELSE (SELECT r FROM unnest(h.recent * tstzmultirange(tstzrange(h.due - h.fold, h.due))) AS r
                               WHERE upper(r) = h.due) END AS top
        FROM (
            SELECT model_id, fold, due, covered_end, live_out, back_out, cut,
                   date_bin(slot, at - $1::interval, 'epoch') + slot AS edge,
                   recent * tstzmultirange(tstzrange(date_bin(slot, at - $1::interval, 'epoch') + slot, NULL)) AS recent
            FROM model_holes
            -- Where nothing is missing, there may be something to repair, or that is requested.
            WHERE NOT held
              AND (lacks OR model_id IN (SELECT r.model_id FROM repair r)
                   OR model_id IN (SELECT o.model_id FROM request_model o
                                   WHERE o.open AND o.request_id = ANY ((SELECT ids FROM running)::bigint[])))
            OFFSET 0
        ) h OFFSET 0
    ) t
),
-- Only models whose newest hole may begin before their last days are read as a whole.
far AS MATERIALIZED (
    SELECT h.model_id, h.holes FROM model_holes h
    WHERE h.model_id IN (SELECT b.model_id FROM below b
                         WHERE b.cut AND NOT b.back_out
                           AND coalesce(upper(b.near) - b.fold < b.due - b.fold * 4, true))
),
rest AS MATERIALIZED (
    SELECT b.model_id, b.covered_end, b.fold, b.due, b.live_out, b.back_out, b.top,
           CASE WHEN f.model_id IS NULL THEN b.near
                ELSE f.holes * tstzmultirange(tstzrange(least(b.edge, b.due), coalesce(lower(b.top), b.due))) END AS holes
    FROM below b LEFT JOIN far f ON f.model_id = b.model_id
),
-- Whole slots of the model as it is now: their length may have changed since.
damaged AS MATERIALIZED (
    SELECT r.model_id,
           range_agg(tstzrange(date_bin(m.slot, lower(s), 'epoch'),
                               date_bin(m.slot, upper(s) - interval '1 microsecond', 'epoch') + m.slot))
               - coalesce((SELECT range_agg(w) FROM parked p CROSS JOIN LATERAL unnest(p.windows) AS w
                           WHERE p.model_id = r.model_id), '{}')
               - coalesce((SELECT range_agg(t.span) FROM task t WHERE t.model_id = r.model_id), '{}') AS slots
    FROM repair r JOIN model m ON m.id = r.model_id CROSS JOIN LATERAL unnest(r.slots) AS s
    WHERE r.due_at <= ledger_now()
    GROUP BY r.model_id
),
-- What is due and live does not take. One request of each model, however many there are: this is done every few seconds.
asked AS MATERIALIZED (
    SELECT r.model_id, q.request_id, q.slots
    FROM rest r
    LEFT JOIN (SELECT model_id, range_agg(span) AS spans FROM task GROUP BY model_id) t ON t.model_id = r.model_id
    LEFT JOIN model_parked p ON p.model_id = r.model_id
    CROSS JOIN LATERAL (
        SELECT l.request_id, l.slots
        FROM (SELECT o.request_id, o.wanted * tstzmultirange(tstzrange(NULL, coalesce(lower(r.top), r.due)))
                                       - coalesce(t.spans, '{}') - coalesce(p.windows, '{}') AS slots
              FROM request_model o
              WHERE o.model_id = r.model_id AND o.open AND o.request_id = ANY ((SELECT ids FROM running)::bigint[])
              ORDER BY o.slots, o.request_id OFFSET 0) l
        WHERE NOT isempty(l.slots) LIMIT 1
    ) q
    WHERE NOT r.back_out AND (SELECT ids FROM running) IS NOT NULL
)
SELECT f.model_id, m.project, m.name, m.epoch, f.covered_end, f.request_id,
       lower(f.live) AS live_start, upper(f.live) AS live_end, lower(f.backfill) AS backfill_start, upper(f.backfill) AS backfill_end,
       lower(f.repair) AS repair_start, upper(f.repair) AS repair_end, lower(f.manual) AS manual_start, upper(f.manual) AS manual_end
FROM (
    SELECT r.model_id, r.covered_end, r.request_id, CASE WHEN NOT r.live_out THEN r.top END AS live,
           CASE WHEN isempty(r.newest) THEN NULL
                WHEN r.newest @> range_merge(r.newest) THEN range_merge(r.newest)
                ELSE (SELECT w FROM unnest(r.newest) AS w ORDER BY w DESC LIMIT 1) END AS backfill,
           CASE WHEN d.model_id IS NOT NULL AND NOT r.back_out THEN
               (SELECT w FROM unnest(d.slots * tstzmultirange(tstzrange(upper(d.slots) - r.fold, upper(d.slots)))) AS w
                ORDER BY w DESC LIMIT 1) END AS repair,
           CASE WHEN r.request_id IS NOT NULL THEN
               (SELECT w FROM unnest(r.asked * tstzmultirange(tstzrange(upper(r.asked) - r.fold, upper(r.asked)))) AS w
                ORDER BY w DESC LIMIT 1) END AS manual
    FROM (SELECT r.*, r.holes * tstzmultirange(tstzrange(upper(r.holes) - r.fold, upper(r.holes))) AS newest,
                 a.request_id, a.slots AS asked
          FROM rest r LEFT JOIN asked a ON a.model_id = r.model_id OFFSET 0) r
    LEFT JOIN damaged d ON d.model_id = r.model_id
    OFFSET 0
) f JOIN model m ON m.id = f.model_id
WHERE f.live IS NOT NULL OR f.backfill IS NOT NULL OR f.repair IS NOT NULL OR f.manual IS NOT NULL;

-- continued --
-- What is missing of models ($1), or wanted of them by a request ($5, or null), before some time ($2) of each, as windows,
-- the newest first: $4 of each at most. $3: max_catch_up. Of a silent model nothing is missing. Read for each model by
-- itself, unlike the needs: these are few models.
WITH RECURSIVE missing AS MATERIALIZED (
    SELECT m.id AS model_id, n.request_id, least(m.fold, m.fold_limit) AS fold,
           CASE WHEN n.request_id IS NULL THEN
               tstzmultirange(tstzrange(least(greatest(m.since, date_bin(m.slot, ledger_now() - $3::interval, 'epoch') + m.slot), n.low), n.low))
                   - c.covered - c.expired
                   - coalesce((SELECT range_agg(s) FROM slot_exception e CROSS JOIN LATERAL unnest(e.slots) AS s
                               WHERE e.model_id = m.id AND e.next_look > ledger_now()), '{}')
           ELSE
               coalesce((SELECT q.wanted FROM request_model q WHERE q.request_id = n.request_id AND q.model_id = m.id AND q.open), '{}')
                   * tstzmultirange(tstzrange(NULL, n.low))
           END
               - coalesce((SELECT range_agg(t.span) FROM task t WHERE t.model_id = m.id), '{}')
               - coalesce((SELECT range_agg(s) FROM parked p CROSS JOIN LATERAL unnest(p.windows) AS s
                           WHERE p.model_id = m.id), '{}') AS slots
    FROM unnest($1::bigint[], $2::timestamptz[], $5::bigint[]) AS n (model_id, low, request_id)
    JOIN model m ON m.id = n.model_id JOIN coverage c ON c.model_id = m.id
    WHERE n.request_id IS NOT NULL OR c.silent_since IS NULL
),
run AS (
    SELECT model_id, request_id, fold, slots, NULL::tstzrange AS span, 0 AS place FROM missing
    UNION ALL
    SELECT r.model_id, r.request_id, r.fold, r.slots - tstzmultirange(w.span), w.span, r.place + 1
    FROM run r CROSS JOIN LATERAL (
        SELECT s AS span FROM unnest(r.slots * tstzmultirange(tstzrange(upper(r.slots) - r.fold, upper(r.slots)))) AS s
        ORDER BY s DESC LIMIT 1) w
    WHERE r.place < $4
)
SELECT model_id, request_id IS NOT NULL AS requested, span FROM run WHERE place > 0 ORDER BY model_id, requested, place;

-- plan_tasks --
-- Windows that were planned or changed since the needs were read are left out, and those of live and backfill that were
-- covered: every other lane repeats what is covered. So are windows that their request does not want any more, what is not
-- live while backfill is paused, and windows that are not of whole slots: tasks of an older epoch may stand in their slots.
INSERT INTO task (model_id, epoch, span, lane, state, probe, trace, request_id, planned_at)
SELECT n.model_id, n.epoch, tstzrange(n.low, n.high), n.lane, 'planned', n.probe, n.trace, n.request_id, ledger_now()
FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::boolean[], $7::text[],
            $8::bigint[])
     WITH ORDINALITY AS n (model_id, epoch, low, high, lane, probe, trace, request_id, place)
JOIN model m ON m.id = n.model_id AND m.epoch = n.epoch AND m.state = 'active' AND NOT m.paused
JOIN coverage c ON c.model_id = n.model_id
     AND (n.lane NOT IN ('live', 'backfill') OR NOT c.covered && tstzrange(n.low, n.high))
WHERE (n.lane = 'live' OR NOT EXISTS (SELECT FROM runtime_limit WHERE name = 'backfill_paused'))
  AND date_bin(m.slot, n.low, 'epoch') = n.low AND date_bin(m.slot, n.high, 'epoch') = n.high
  AND NOT EXISTS (SELECT FROM task t WHERE t.model_id = n.model_id
                  AND (t.span && tstzrange(n.low, n.high)
                       OR (n.lane <> 'live' AND t.lane <> 'live' AND t.state <> 'waiting')))
  AND (n.request_id IS NULL
       OR EXISTS (SELECT FROM request_model q JOIN request_running r ON r.id = q.request_id
                  WHERE q.request_id = n.request_id AND q.model_id = n.model_id AND q.wanted @> tstzrange(n.low, n.high)))
ORDER BY n.place
ON CONFLICT DO NOTHING
RETURNING id;

-- request_room --
SELECT id, room FROM request_room;

-- stop_requests --
UPDATE request SET state = 'paused', note = format('%s windows failed', failures)
WHERE state = 'active' AND failures >= stop_after
RETURNING id, kind, state, note;

-- end_requests --
-- A request is done when nothing is left of it that could be predicted, and goes on when there is something again: what
-- was parked is not any more, or a model is listed again.
WITH changed AS (
    SELECT r.id, EXISTS (
               SELECT FROM request_model q JOIN model m ON m.id = q.model_id LEFT JOIN model_parked p ON p.model_id = q.model_id
               WHERE q.request_id = r.id AND q.open AND m.state = 'active'
                 AND NOT coalesce(p.windows @> q.wanted, false)) AS is_left,
           EXISTS (SELECT FROM request_model q WHERE q.request_id = r.id AND q.open) AS is_open
    FROM request r WHERE r.state IN ('active', 'done')
)
UPDATE request r
SET state = CASE WHEN c.is_left THEN 'active' ELSE 'done' END,
    note = CASE WHEN c.is_left THEN 'what was left can be predicted again'
                WHEN c.is_open THEN 'the rest is parked, or its models are not predicted' ELSE '' END,
    ended_at = CASE WHEN NOT c.is_left THEN ledger_now() END
FROM changed c
WHERE r.id = c.id AND c.is_left <> (r.state = 'active')
RETURNING r.id, r.kind, r.state, r.note;

-- wake_waiting --
-- Tasks that may be planned again, unless their project ($1) or model ($3) is blocked: live ones first, then those that have
-- waited longest; $2 at most, and of a request that limits them no more than it has room for.
WITH ready AS (
    SELECT DISTINCT ON (w.model_id, w.live) w.* FROM wakeable_task w
    WHERE w.project <> ALL ($1::text[]) AND w.model_id NOT IN (SELECT unnest($3::bigint[]))
    ORDER BY w.model_id, w.live, w.not_before, w.id
),
turns AS (
    SELECT y.*, row_number() OVER (PARTITION BY y.request_id ORDER BY y.live DESC, y.not_before, y.id) AS turn FROM ready y
)
UPDATE task SET state = 'planned', channel = ''
WHERE id IN (
    SELECT t.id FROM turns t WHERE t.room IS NULL OR t.turn <= t.room
    ORDER BY t.live DESC, t.not_before, t.id LIMIT $2
)
RETURNING id;

-- wake_probe --
-- The one of a blocked project ($1), of these models ($2) if any are given, that has waited longest is planned again as a probe.
UPDATE task SET state = 'planned', channel = '', probe = true
WHERE id = (
    SELECT w.id FROM wakeable_task w
    WHERE w.project = $1 AND ($2::bigint[] IS NULL OR w.model_id = ANY ($2))
    ORDER BY w.not_before, w.id LIMIT 1
)
RETURNING id;

-- probing --
-- Models that have a probe outstanding.
SELECT DISTINCT m.id, m.project FROM task t JOIN model m ON m.id = t.model_id WHERE t.probe;

-- changed_tags --
-- The tags of active models that are not known ($1) in their epoch ($2).
SELECT m.id, m.epoch, m.project,
       ARRAY(SELECT DISTINCT jsonb_array_elements_text(
                 (m.spec -> 'tag_list') || (m.spec -> 'target_tag_list') || (m.spec -> 'filter_tags'))) AS tags
FROM model m LEFT JOIN unnest($1::bigint[], $2::integer[]) AS known (id, epoch) ON known.id = m.id AND known.epoch = m.epoch
WHERE m.state = 'active' AND m.spec IS NOT NULL AND known.id IS NULL;

-- unpublished --
-- Planned and not marked as published: new tasks, and those whose publishing is not known to have succeeded.
SELECT t.id, t.epoch, t.span, t.lane, t.probe, t.trace, m.project, m.name, m.revision, m.slot, m.anomaly, m.spec,
       l.id AS ledger, l.incarnation, (SELECT r.sink FROM request r WHERE r.id = t.request_id) AS copy_to
FROM task t JOIN model m ON m.id = t.model_id AND m.epoch = t.epoch CROSS JOIN ledger_identity l
WHERE t.state = 'planned'
ORDER BY (t.lane = 'live') DESC, t.id
LIMIT $1;

-- mark_published --
-- After they were sent: whatever the queue held at published_at includes them.
UPDATE task t SET state = 'published', channel = s.place, published_at = ledger_now()
FROM unnest($1::bigint[], $2::text[]) AS s (id, place)
WHERE t.id = s.id AND t.state = 'planned';

-- delete_superseded --
-- Tasks of an older epoch, and of models that are not predicted any more. A claimed one ends by itself, and its settlement
-- does not count; what it may still write is repaired after a while ($1). Tasks that are being settled are skipped,
-- against deadlocks.
WITH gone AS (
    DELETE FROM task t
    USING (SELECT o.id FROM task o JOIN model m ON m.id = o.model_id
           WHERE o.epoch <> m.epoch OR m.state <> 'active' FOR UPDATE OF o SKIP LOCKED) free
    WHERE t.id = free.id
    RETURNING t.*
),
unended AS (
    INSERT INTO repair (model_id, task_id, claim, due_at, slots)
    SELECT g.model_id, g.id, writer, ledger_now() + $1::interval, tstzmultirange(g.span)
    FROM gone g CROSS JOIN LATERAL unnest(g.writers) AS writer
    ON CONFLICT DO NOTHING
)
SELECT id FROM gone;

-- lost_tasks --
-- Claims whose lease has run out (no other task has one); tasks in a queue that is not the one in use ($1), such as that
-- of a process that has ended; those that the process's own queue does not hold ($2), since a server that took over
-- lacks the claim; those without a message in the ledger's own queue; unclaimed tasks whose partition has been drained
-- since they were published; and tasks in an envelope that an executor could not read, which are published again in one
-- that all can. Locked tasks are skipped: they are not lost, and waiting for them could deadlock with a settlement.
UPDATE task t SET state = 'planned', claimed_by = NULL, lease_until = NULL, channel = ''
FROM (
    SELECT o.id FROM task o
    WHERE o.lease_until <= ledger_now()
       OR (o.state = 'published' AND split_part(o.channel, '#', 1) <> $1)
       OR (o.state = 'published' AND o.id <> ALL ($2::bigint[]))
       OR (o.state = 'published' AND o.channel = 'postgres'
           AND NOT EXISTS (SELECT FROM queued_task q WHERE q.task_id = o.id))
       OR (o.state = 'published' AND EXISTS (
              SELECT FROM queue_partition p
              WHERE p.channel || '#' || p.partition = o.channel AND o.published_at < p.drained_to))
       OR (o.state = 'published' AND EXISTS (
              SELECT FROM queue_refused r
              WHERE r.channel = $1 AND r.task_id = o.id AND r.reason = 'too_new' AND r.at > o.published_at))
    FOR UPDATE OF o SKIP LOCKED
) free
WHERE t.id = free.id
RETURNING t.id, t.model_id, t.starts, t.span;

-- unsendable --
-- Tasks that are larger than a message of the queue may be.
SELECT t.id, t.model_id, t.span, m.revision, r.detail
FROM task t JOIN model m ON m.id = t.model_id
JOIN queue_refused r ON r.task_id = t.id AND r.reason = 'too_large' AND r.at >= t.planned_at
WHERE t.state = 'planned' FOR UPDATE OF t;

-- poison_tasks --
-- Tasks with $1 isolated starts that never settled.
SELECT t.id, t.model_id, t.span, t.starts, m.revision
FROM task t JOIN model m ON m.id = t.model_id
WHERE t.state = 'planned' AND t.starts > $1 FOR UPDATE OF t;

-- expire --
-- Holes older than max_catch_up ($1) are recorded as expired. Exceptions as old are recorded with them and deleted; those
-- that were final already are not counted. Models that are being settled are skipped: waiting for them could deadlock
-- with their batch.
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

-- ensure_history --
-- The days that need a partition of task_history and have none yet: yesterday to the day after tomorrow.
SELECT day::date AS day
FROM generate_series(date_trunc('day', ledger_now() AT TIME ZONE 'UTC') - interval '1 day',
                     date_trunc('day', ledger_now() AT TIME ZONE 'UTC') + interval '2 days',
                     interval '1 day') AS day
WHERE to_regclass('task_history_' || to_char(day, 'YYYYMMDD')) IS NULL;

-- delete_request_models --
-- What requests wanted that ended longer ago than $1, and got.
DELETE FROM request_model q USING request r
WHERE r.id = q.request_id AND r.ended_at < ledger_now() - $1::interval AND NOT q.open;

-- delete_replaced_tags --
-- No receipt that counts by them is younger than $1.
DELETE FROM replaced_tags WHERE replaced_at < ledger_now() - $1::interval - interval '2 days';

-- old_history --
-- Partitions of task_history that hold nothing younger than $1.
SELECT c.relname AS name
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'task_history'::regclass
  AND c.relname < 'task_history_' || to_char((ledger_now() - $1::interval) AT TIME ZONE 'UTC', 'YYYYMMDD');

-- delete_executors --
-- One that comes back registers again; that it was drained has to outlast an outage of the ledger ($1: the history).
DELETE FROM executor
WHERE seen_at < ledger_now() - CASE WHEN drained_at IS NULL THEN interval '1 hour' ELSE $1::interval END;

-- delete_dismissals --
-- Of revisions that their models have no longer.
DELETE FROM dismissal d USING model m WHERE m.id = d.model_id AND m.revision <> d.revision;

-- unpark_crashes --
-- A new version of Latigo may have fixed the bug.
DELETE FROM parked WHERE reason = 'crashed' AND version <> $1 RETURNING model_id;

-- probe_sent --
UPDATE circuit SET probe_at = ledger_now() + pause WHERE downstream = ANY ($1::text[]);

-- outstanding --
-- Counts of outstanding tasks and of those settled in the last two minutes; the newest envelope that all executors read.
SELECT count(*) FILTER (WHERE state <> 'waiting' AND lane = 'live') AS live,
       count(*) FILTER (WHERE state <> 'waiting' AND lane = 'backfill') AS backfill,
       count(*) FILTER (WHERE state <> 'waiting' AND lane = 'repair') AS repair,
       count(*) FILTER (WHERE state <> 'waiting' AND lane = 'manual') AS manual,
       count(*) FILTER (WHERE state = 'waiting') AS waiting,
       count(*) FILTER (WHERE state = 'planned') AS unpublished,
       EXISTS (SELECT FROM model WHERE stale_metadata AND model.state IN ('active', 'disabled', 'unusable'))
           AS stale_metadata,
       (SELECT min(envelope_high) FROM executor WHERE seen_at > ledger_now() - interval '2 minutes') AS readable,
       -- The clock is read first, or every row of the history would be compared with it.
       (SELECT count(*) FROM task_history WHERE settled_at > (SELECT ledger_now() - interval '2 minutes')) AS settled
FROM task;
