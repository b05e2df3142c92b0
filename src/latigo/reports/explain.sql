-- What the ledger knows about one moment of one model.

-- moment --
-- The model, and the slot that the moment $3 is in. No row: the ledger does not know the model.
SELECT m.id AS model_id, ledger_now() AS now, m.state, m.paused, known_state(m.state, m.paused AND m.state = 'active', m.missing_since) AS known_state,
       m.missing_since, m.revision, m.epoch, m.since, m.first_seen, m.delay, m.slot AS length,
       s.start, s.start + m.slot AS "end", s.start + m.slot + m.delay AS due_at,
       c.covered @> $3::timestamptz AS covered, c.partial @> $3::timestamptz AS partial, c.expired @> $3::timestamptz AS expired,
       c.silent_since, CASE WHEN c.hold_until > ledger_now() THEN c.hold_until END AS held_until, c.held_for
FROM model m JOIN coverage c ON c.model_id = m.id
CROSS JOIN LATERAL (SELECT date_bin(m.slot, $3::timestamptz, 'epoch') AS start) s
WHERE m.project = $1 AND m.name = $2;

-- exceptions --
SELECT state, reason, tags, looks AS rechecks, nullif(next_look, 'infinity') AS next_check
FROM slot_exception WHERE model_id = $1 AND slots @> $2::timestamptz ORDER BY state LIMIT 1;

-- parked --
SELECT revision, reason, detail, since, tags FROM parked
WHERE model_id = $1 AND windows @> $2::timestamptz ORDER BY since;

-- tasks --
-- Of the model; those with the moment first.
SELECT t.id AS task, t.lane, t.state, t.channel AS place, lower(t.span) AS start, upper(t.span) AS "end", t.attempts, t.planned_at,
       t.published_at, t.claimed_at, t.claimed_by AS worker, t.lease_until, t.not_before, t.detail, t.probe, t.request_id AS request,
       coalesce(p.pauses, '{}') AS paused_by, t.span @> $2::timestamptz AS has_it
FROM task t LEFT JOIN task_pause p ON p.id = t.id AND t.state = 'waiting'
WHERE t.model_id = $1 ORDER BY t.span @> $2::timestamptz DESC, t.id LIMIT 100;

-- receipts --
-- The windows with this moment that were settled, the newest first; none was before the moment had passed. Tags are those
-- that the model had in that epoch.
SELECT h.id AS task, h.lane, h.revision, h.epoch, lower(h.span) AS start, upper(h.span) AS "end", h.outcome, h.reason, h.detail,
       h.attempts, h.starts, h.rows, h.covered, h.claimed_by AS worker, h.planned_at, h.claimed_at, h.settled_at, h.receipt,
       coalesce((SELECT r.tags FROM replaced_tags r WHERE r.model_id = h.model_id AND r.epoch >= h.epoch
                 ORDER BY r.epoch LIMIT 1), tags_of_spec(m.spec)) AS tags,
       count(*) OVER () AS total
FROM task_history h JOIN model m ON m.id = h.model_id
WHERE h.model_id = $1 AND h.span @> $2::timestamptz AND h.settled_at >= $2 ORDER BY h.settled_at DESC, h.id DESC LIMIT $3;

-- dismissals --
SELECT revision, reason, who, at, note FROM dismissal WHERE model_id = $1 ORDER BY at;

-- backfill_paused --
SELECT who, at, reason FROM runtime_limit WHERE name = 'backfill_paused';

-- pauses --
SELECT model <> '' AS of_model, who, at, reason FROM pause WHERE project = $1 AND model IN ('', $2) ORDER BY at;

-- unregistered --
SELECT who, at FROM roster WHERE project = $1 AND name = $2 AND NOT registered;

-- project --
SELECT error, doubted_since AS quarantined_since FROM project WHERE name = $1;

-- circuits --
-- Those that tasks of the project may wait for.
SELECT downstream, reason, opened_at FROM circuit
WHERE downstream = $1 OR downstream NOT LIKE 'gordo/%' ORDER BY downstream;

-- repair --
SELECT min(due_at) AS due_at FROM repair WHERE model_id = $1 AND slots @> $2::timestamptz;

-- sinks --
-- Required sinks that lack the moment although it is stored, and those for which it could not be had any more.
SELECT sink, lost @> $2::timestamptz AS lost FROM sink_lacks
WHERE model_id = $1 AND (lacks @> $2::timestamptz OR lost @> $2::timestamptz) ORDER BY sink;

-- requests --
SELECT r.id AS request, r.kind, r.sink, r.state, r.note, r.who, r.at, coalesce(o.room <= 0, false) AS is_full
FROM request_model q JOIN request r ON r.id = q.request_id LEFT JOIN request_room o ON o.id = r.id
WHERE q.model_id = $1 AND q.open AND q.wanted @> $2::timestamptz AND r.state IN ('active', 'paused') ORDER BY r.id LIMIT 100;

-- gap --
-- Whether it can be planned now, and what stands before it: newer gaps, in slots of the model, and the two tasks that a
-- model may have out. It is live when a window from it to the newest due slot may be. No row: the model is not predicted.
SELECT holes @> $2::timestamptz AS is_gap,
       due - fold <= $2 AND due > $2
           AND holes @> tstzrange(date_bin(slot, least($2::timestamptz, due - slot), 'epoch'), due) AS live,
       count_slots(holes * tstzmultirange(tstzrange(date_bin(slot, $2::timestamptz, 'epoch') + slot, NULL)), slot) AS newer,
       live_out, back_out
FROM model_holes WHERE model_id = $1;

-- workers --
SELECT EXISTS (SELECT FROM planner WHERE lease_until > ledger_now()) AS planner,
       (SELECT count(*) FROM executor WHERE seen_at > ledger_now() - interval '1 minute') AS executors,
       (SELECT count(*) FROM executor
        WHERE seen_at > ledger_now() - interval '1 minute' AND drained_at IS NOT NULL) AS drained_executors,
       (SELECT count(*) FROM task WHERE state <> 'waiting') AS outstanding;
