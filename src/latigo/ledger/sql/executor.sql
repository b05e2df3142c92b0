-- Executors: registration, claims, settlements, circuits.

-- register_executor --
INSERT INTO executor (id, version, envelope_low, envelope_high, concurrency, started_at, seen_at)
VALUES ($1, $2, $3, $4, $5, ledger_now(), ledger_now())
ON CONFLICT (id) DO UPDATE SET seen_at = ledger_now();

-- heartbeat --
-- No row: the executor was not seen for so long that it was deleted.
UPDATE executor SET seen_at = ledger_now(), in_flight = $2, working_limit = $3, concurrency = $4 WHERE id = $1
RETURNING id;

-- drained --
SELECT e.drained_at IS NOT NULL AS drained, e.drain_stops AS stops, o.executors
FROM executor e, (SELECT count(*) AS executors FROM executor
                  WHERE drained_at IS NULL AND seen_at > ledger_now() - interval '1 minute') o
WHERE e.id = $1;

-- deregister_executor --
DELETE FROM executor WHERE id = $1;

-- claim_lock --
-- Waits for what another transaction does with a task that is claimed by itself.
SELECT FROM task WHERE id = $1 FOR UPDATE;

-- claim --
-- The right to work on tasks, before any other I/O. No row: the task is claimed by another executor, or stale, or locked by
-- another transaction, or the message is of another task that once had this number: the ledger may have been restored since.
-- A task that was started before and never settled is not counted as started here: it waits for an isolated start.
-- The number of a claim is at least the whole seconds since 2020: a server that took over may lack the last claim, which must
-- not count as the one that follows it. What that assumes is in decision 18.
-- Locks in the order of `settle_lock`, but waits for no lock: one task must not delay the others.
UPDATE task t
SET state = 'claimed', claimed_by = $1, claimed_at = ledger_now(), lease_until = ledger_now() + $2::interval,
    claim = greatest(t.claim + 1, floor(extract(epoch FROM ledger_now() - '2020-01-01Z'::timestamptz))::integer),
    starts = greatest(t.starts, 1)
FROM (
    SELECT o.id, o.state, o.lease_until, o.starts, r.kind IS NOT DISTINCT FROM 'sweep' AS sweeps, l.incarnation, mine.place
    FROM unnest($3::bigint[], $4::integer[], $5::timestamptz[], $6::timestamptz[], $7::text[], $8::text[], $9::uuid[],
                $10::bigint[])
         WITH ORDINALITY AS mine (id, epoch, low, high, project, name, ledger, incarnation, place)
    JOIN task o ON o.id = mine.id AND o.epoch = mine.epoch AND o.span = tstzrange(mine.low, mine.high)
    JOIN model m ON m.id = o.model_id AND m.epoch = o.epoch AND m.project = mine.project AND m.name = mine.name
                AND m.state = 'active' AND NOT m.paused
    JOIN ledger_identity l ON mine.ledger IS NULL OR (l.id = mine.ledger AND l.incarnation = mine.incarnation)
    LEFT JOIN request r ON r.id = o.request_id
    ORDER BY o.model_id, o.id
    FOR UPDATE OF o SKIP LOCKED
) was
WHERE t.id = was.id AND (was.state IN ('planned', 'published') OR was.lease_until <= ledger_now())
RETURNING was.place, t.claim, t.attempts, was.starts AS unsettled_starts, t.stored_in, was.incarnation,
          CASE WHEN was.sweeps THEN ARRAY(SELECT f.low FROM fingerprint f
                                          WHERE f.model_id = t.model_id AND t.span @> f.low ORDER BY f.low) END AS swept,
          CASE WHEN was.sweeps THEN ARRAY(SELECT f.cells FROM fingerprint f
                                          WHERE f.model_id = t.model_id AND t.span @> f.low ORDER BY f.low) END AS cells;

-- examine --
-- What the ledger knows about a task that could not be claimed.
SELECT l.id AS ledger, l.incarnation, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM task_id_seq) AS newest_id,
       t.epoch, t.span, tm.project, tm.name, m.epoch AS model_epoch
FROM ledger_identity l
LEFT JOIN task t ON t.id = $1
LEFT JOIN model tm ON tm.id = t.model_id
LEFT JOIN model m ON m.project = $2 AND m.name = $3;

-- record_mismatch --
-- One row for each kind, written at most once a minute, however many such messages there are.
INSERT INTO queue_mismatch AS q (incarnation, kind, task_id, detail, first_at, last_at)
VALUES ($1, $2, $3, $4, ledger_now(), ledger_now())
ON CONFLICT (incarnation, kind) DO UPDATE
SET task_id = excluded.task_id, detail = excluded.detail, last_at = excluded.last_at
WHERE q.last_at <= excluded.last_at - interval '1 minute'
RETURNING first_at = last_at AS is_first;

-- start_isolated --
UPDATE task t SET starts = t.starts + 1, lease_until = ledger_now() + $8::interval
FROM model m
WHERE t.id = $1 AND t.claim = $2 AND t.state = 'claimed' AND t.span = tstzrange($3, $4) AND t.epoch = $7
  AND m.id = t.model_id AND m.project = $5 AND m.name = $6
RETURNING t.starts;

-- renew --
-- Returns the tasks whose claims still hold. Locks in the order of `settle_lock`.
UPDATE task t SET lease_until = ledger_now() + $8::interval
FROM (
    SELECT o.id
    FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::integer[])
         AS mine (id, claim, low, high, project, name, epoch)
    JOIN task o ON o.id = mine.id AND o.claim = mine.claim AND o.state = 'claimed' AND o.span = tstzrange(low, high)
               AND o.epoch = mine.epoch
    JOIN model m ON m.id = o.model_id AND m.project = mine.project AND m.name = mine.name
    ORDER BY o.model_id, o.id
    FOR UPDATE OF o
) ours
WHERE t.id = ours.id
RETURNING t.id;

-- begin_write --
-- The claim holds, and for a whole lease from now on.
UPDATE task t
SET lease_until = ledger_now() + $8::interval,
    writers = CASE WHEN t.claim = ANY (t.writers) THEN t.writers ELSE t.writers || t.claim END
FROM model m
WHERE t.id = $1 AND t.claim = $2 AND t.state = 'claimed' AND t.span = tstzrange($3, $4) AND t.epoch = $7
  AND m.id = t.model_id AND m.project = $5 AND m.name = $6
RETURNING t.id;

-- begin_writes --
-- The same for several claims. Waits for no lock: what is left out is lost or locked.
UPDATE task t
SET lease_until = ledger_now() + $8::interval,
    writers = CASE WHEN t.claim = ANY (t.writers) THEN t.writers ELSE t.writers || t.claim END
FROM (
    SELECT o.id
    FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::integer[])
         AS mine (id, claim, low, high, project, name, epoch)
    JOIN task o ON o.id = mine.id AND o.claim = mine.claim AND o.state = 'claimed' AND o.span = tstzrange(low, high)
               AND o.epoch = mine.epoch
    JOIN model m ON m.id = o.model_id AND m.project = mine.project AND m.name = mine.name
    FOR UPDATE OF o SKIP LOCKED
) ours
WHERE t.id = ours.id
RETURNING t.id;

-- request_repair --
-- The claim sends nothing more, so the repair waits only ($7) for what may still be on its way to the sink.
INSERT INTO repair AS r (model_id, task_id, claim, due_at, slots)
SELECT m.id, $1::bigint, $2::integer, ledger_now() + $7::interval, tstzmultirange(tstzrange($3, $4)) FROM model m WHERE m.project = $5 AND m.name = $6
ON CONFLICT (model_id, task_id, claim) DO UPDATE SET due_at = excluded.due_at, slots = r.slots + excluded.slots;

-- reduce_repairs --
-- Tasks ($1) that were claimed after a repair was due have repaired their windows, unless its writer has reported since.
UPDATE repair r SET slots = r.slots - done.spans
FROM (
    SELECT o.model_id, o.task_id, o.claim, o.due_at, range_agg(t.span) AS spans
    FROM repair o JOIN task t ON t.model_id = o.model_id AND t.claimed_at > o.due_at
    WHERE t.id = ANY ($1::bigint[])
    GROUP BY o.model_id, o.task_id, o.claim
) done
WHERE (r.model_id, r.task_id, r.claim, r.due_at) = (done.model_id, done.task_id, done.claim, done.due_at);

-- delete_repairs --
DELETE FROM repair r USING task t WHERE t.id = ANY ($1::bigint[]) AND r.model_id = t.model_id AND isempty(r.slots);

-- reduce_requests --
-- What tasks ($1) have settled is not wanted any more; a replacement only if it was claimed after the request was made. The
-- locks on the coverage of the models make one settlement wait for another.
UPDATE request_model q SET wanted = q.wanted - d.spans, open = NOT isempty(q.wanted - d.spans)
FROM (
    SELECT o.request_id, o.model_id, range_agg(t.span) AS spans
    FROM task t JOIN request_model o ON o.model_id = t.model_id AND o.open JOIN request r ON r.id = o.request_id
    WHERE t.id = ANY ($1::bigint[]) AND o.wanted && t.span
      AND (r.kind = 'fill' OR t.request_id = r.id OR (r.kind = 'replace' AND t.claimed_at > r.at))
    GROUP BY o.request_id, o.model_id
) d
WHERE q.request_id = d.request_id AND q.model_id = d.model_id;

-- release --
-- Tasks that were not begun or not finished are planned again at once, with as many starts ($8) as before.
UPDATE task t
SET state = 'planned', claimed_by = NULL, lease_until = NULL, channel = '', starts = mine.starts
FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::integer[],
            $8::integer[]) AS mine (id, claim, low, high, project, name, epoch, starts)
JOIN model m ON m.project = mine.project AND m.name = mine.name
WHERE t.id = mine.id AND t.claim = mine.claim AND t.state = 'claimed' AND t.span = tstzrange(mine.low, mine.high)
  AND t.model_id = m.id AND t.epoch = mine.epoch
RETURNING t.id;

-- settle_lock --
-- The claims that still hold, and their places in the arrays. Locks tasks by model and id, and with them the coverage of
-- their models, which represents the whole model: every transaction that changes several models locks it first and by
-- model, against deadlocks.
SELECT t.id, mine.place
FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::integer[])
     WITH ORDINALITY AS mine (id, claim, low, high, project, name, epoch, place)
JOIN task t ON t.id = mine.id AND t.claim = mine.claim AND t.state = 'claimed' AND t.span = tstzrange(low, high)
           AND t.epoch = mine.epoch
JOIN model m ON m.id = t.model_id AND m.project = mine.project AND m.name = mine.name
JOIN coverage c ON c.model_id = t.model_id
ORDER BY t.model_id, t.id
FOR UPDATE OF t, c;

-- settling --
-- The locked tasks ($1) that count, and their models. A statement of its own: one that has waited for a lock still sees
-- other rows as they were before, and the epoch may have risen meanwhile.
SELECT t.id, t.model_id, t.span, t.lane, t.attempts, t.planned_at, m.revision, m.slot, m.since,
       c.silent_since, c.deferrals, c.hold_until,
       EXISTS (SELECT FROM slot_exception e WHERE e.model_id = t.model_id AND e.slots && t.span) AS touches,
       EXISTS (SELECT FROM repair r WHERE r.model_id = t.model_id AND r.slots && t.span) AS repairs,
       EXISTS (SELECT FROM request_model q WHERE q.model_id = t.model_id AND q.open AND q.wanted && t.span) AS requested,
       EXISTS (SELECT FROM slot_exception e WHERE e.model_id = t.model_id
               AND split_part(e.reason, ':', 1) IN ('no_finite_values', 'not_stored')
               AND e.slots && tstzrange(lower(t.span) - m.slot, upper(t.span))) AS unstored,
       EXISTS (SELECT FROM parked p WHERE p.model_id = t.model_id AND p.reason = 'unknown_sensor') AS lacks_sensors,
       EXISTS (SELECT FROM request r WHERE r.id = t.request_id AND r.sink IS NOT NULL) AS copies,
       c.covered * tstzmultirange(t.span) AS had, ledger_now() AS now
FROM task t
JOIN model m ON m.id = t.model_id AND m.epoch = t.epoch
JOIN coverage c ON c.model_id = t.model_id
WHERE t.id = ANY ($1::bigint[])
ORDER BY t.model_id, t.id;

-- keep_waiting --
-- A task that is retried as it is keeps its window, its attempts and the sinks that have its result; and its writer, if what
-- that wrote may still arrive.
UPDATE task t
SET state = 'waiting', not_before = s.not_before, attempts = s.attempts, starts = 0, claimed_by = NULL,
    lease_until = NULL, probe = false, detail = s.detail,
    writers = CASE WHEN s.may_arrive THEN t.writers ELSE array_remove(t.writers, t.claim) END,
    stored_in = ARRAY(SELECT DISTINCT sink FROM unnest(t.stored_in || string_to_array(nullif(s.sinks, ''), ',')) AS sink)
FROM unnest($1::bigint[], $2::timestamptz[], $3::integer[], $4::text[], $5::text[], $6::boolean[])
     AS s (id, not_before, attempts, detail, sinks, may_arrive)
WHERE t.id = s.id;

-- update_coverage --
-- The sinks of the executor ($8; null: all that are required) have what is covered; another one that is required lacks it.
WITH settled AS (
    SELECT n.model_id, n.covered::tstzmultirange AS covered FROM unnest($1::bigint[], $2::text[]) AS n (model_id, covered)
    WHERE n.covered <> '{}'
),
missed AS (
    INSERT INTO sink_model AS k (sink, model_id, lacks)
    SELECT r.name, s.model_id, s.covered FROM sink r CROSS JOIN settled s
    WHERE r.required AND r.name <> ALL ($8::text[])
    ON CONFLICT (sink, model_id) DO UPDATE SET lacks = k.lacks + excluded.lacks
),
got AS (
    UPDATE sink_model k SET lacks = k.lacks - s.covered, lost = k.lost - s.covered
    FROM settled s, sink r
    WHERE r.name = k.sink AND r.required AND k.model_id = s.model_id AND (k.lacks && s.covered OR k.lost && s.covered)
      AND ($8::text[] IS NULL OR k.sink = ANY ($8))
)
UPDATE coverage c
SET covered = c.covered + s.covered::tstzmultirange,
    silent_since = s.silent_since, hold_until = s.hold_until, held_for = s.held_for, deferrals = s.deferrals,
    not_finite = coalesce(s.not_finite, c.not_finite)
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::integer[], $7::real[])
     AS s (model_id, covered, silent_since, hold_until, held_for, deferrals, not_finite)
WHERE c.model_id = s.model_id;

-- take_exceptions --
-- Deletes the exceptions of each model that touch a stretch of time, to be inserted again as revised.
-- ANY, or a plan that was made while the table was small reads all of it.
DELETE FROM slot_exception e
USING unnest($1::bigint[], $2::tstzrange[]) AS s (model_id, stretch)
WHERE e.model_id = ANY ($1) AND e.model_id = s.model_id AND e.slots && s.stretch
RETURNING e.model_id, e.state, e.reason, e.looks, e.next_look, e.slots, e.tags;

-- add_exceptions --
INSERT INTO slot_exception AS e (model_id, state, reason, looks, next_look, slots, tags)
SELECT n.model_id, n.state, n.reason, n.looks, n.next_look, n.slots::tstzmultirange,
       ARRAY(SELECT jsonb_array_elements_text(n.tags::jsonb))
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::smallint[], $5::timestamptz[], $6::text[], $7::text[])
     AS n (model_id, state, reason, looks, next_look, slots, tags)
ON CONFLICT (model_id, next_look, state, looks, reason) DO UPDATE SET slots = e.slots + excluded.slots;

-- release_known --
-- Unparks models ($1) whose sensors the source has now, and those that wait for none but the same. Rows of the latter that
-- are locked are skipped: waiting for them could deadlock. Their own newest slots release them later.
WITH own AS (
    DELETE FROM parked p WHERE p.model_id = ANY ($1::bigint[]) AND p.reason = 'unknown_sensor'
    RETURNING p.model_id, p.tags
),
others AS (
    SELECT p.model_id, p.revision FROM parked p
    WHERE p.reason = 'unknown_sensor' AND p.model_id <> ALL ($1) AND p.tags <> '{}'
      AND p.tags <@ (SELECT coalesce(array_agg(tag), '{}') FROM own CROSS JOIN LATERAL unnest(own.tags) AS tag)
    FOR UPDATE OF p SKIP LOCKED
),
released AS (
    DELETE FROM parked p USING others o
    WHERE p.model_id = o.model_id AND p.revision = o.revision AND p.reason = 'unknown_sensor'
    RETURNING p.model_id
)
SELECT model_id FROM own UNION SELECT model_id FROM released;

-- learn --
-- Properties of models that executors have detected.
UPDATE model m
SET anomaly = CASE WHEN s.plain THEN false ELSE m.anomaly END,
    stale_metadata = m.stale_metadata OR s.stale,
    fold_limit = coalesce(s.fold, m.fold_limit)
FROM unnest($1::bigint[], $2::boolean[], $3::boolean[], $4::interval[]) AS s (model_id, plain, stale, fold)
WHERE m.id = s.model_id;

-- open_circuit --
-- An open circuit takes the newest reason only.
INSERT INTO circuit AS c (downstream, reason, alarm, opened_at, pause, probe_at)
VALUES ($1, $2, $3, ledger_now(), $4::interval, ledger_now() + $4::interval)
ON CONFLICT (downstream) DO UPDATE SET reason = excluded.reason, alarm = excluded.alarm;

-- probe_failed --
UPDATE circuit SET pause = least(pause * 2, $3::interval), probe_at = ledger_now() + least(pause * 2, $3::interval),
                   reason = $2
WHERE downstream = $1;

-- take_probe --
UPDATE circuit SET probe_at = ledger_now() + pause WHERE downstream = $1 AND probe_at <= ledger_now()
RETURNING downstream;

-- close_circuit --
DELETE FROM circuit WHERE downstream = $1 RETURNING downstream;
