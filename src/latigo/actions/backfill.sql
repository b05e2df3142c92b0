-- Requests for stretches of time.

-- selectable_models --
-- Models that read a tag ($1), with all tags that they read; null: all.
SELECT id, project, name,
       ARRAY (SELECT DISTINCT jsonb_array_elements_text(coalesce(spec -> key, '[]'))
              FROM unnest('{tag_list,target_tag_list,filter_tags}'::text[]) AS key) AS tags
FROM model
WHERE $1::text IS NULL OR spec -> 'tag_list' ? $1 OR spec -> 'target_tag_list' ? $1 OR spec -> 'filter_tags' ? $1;

-- lock_selected --
-- In the order of `settle_lock`: what is settled from now on is settled after the request was made.
SELECT FROM coverage WHERE model_id = ANY ($1::bigint[]) ORDER BY model_id FOR UPDATE;

-- begin_request --
INSERT INTO request (kind, who, why, at, selector, state, low, high, at_most, stop_after, sink)
VALUES ($1, $2, $3, ledger_now(), $4, 'active', $5, $6, $7, $8, $9) RETURNING id;

-- select_slots --
-- What a request ($1, null: none is made) of a kind ($2) wants of models ($3) in $4..$5, and what it leaves out: whole slots that
-- are due, and that sinks keep ($6, null: for ever), and of which there may be readings (for each model $7, null: for ever). A fill
-- leaves out what is covered or excepted.
WITH clock AS MATERIALIZED (SELECT ledger_now() AS at),
asked AS MATERIALIZED (
    SELECT m.id, m.project, m.name, m.slot, least(m.fold, m.fold_limit) AS fold, m.state,
           tstzrange(date_bin(m.slot, $4::timestamptz, 'epoch'),
                     greatest(date_bin(m.slot, $4, 'epoch'),
                              least(date_bin(m.slot, $5::timestamptz - interval '1 microsecond', 'epoch') + m.slot,
                                    date_bin(m.slot, clock.at - m.delay, 'epoch')))) AS span,
           date_bin(m.slot, clock.at - $6::interval, 'epoch') + m.slot AS kept_from,
           date_bin(m.slot, clock.at - c.readable_for, 'epoch') + m.slot AS readable_from
    FROM unnest($3::bigint[], $7::interval[]) AS c(id, readable_for) JOIN model m USING (id) CROSS JOIN clock
),
parts AS MATERIALIZED (
    SELECT a.*, tstzmultirange(a.span) * tstzmultirange(tstzrange(a.kept_from, NULL)) AS kept,
           tstzmultirange(a.span) * tstzmultirange(tstzrange(greatest(a.kept_from, a.readable_from), NULL)) AS slots,
           CASE WHEN $2 = 'fill' THEN c.covered ELSE '{}' END AS covered,
           CASE WHEN $2 = 'fill' THEN coalesce(
               (SELECT range_agg(s) FROM slot_exception e CROSS JOIN LATERAL unnest(e.slots) AS s
                WHERE e.model_id = a.id AND e.slots && a.span), '{}') ELSE '{}' END AS excepted,
           coalesce((SELECT p.windows FROM model_parked p WHERE p.model_id = a.id), '{}') AS parked
    FROM asked a JOIN coverage c ON c.model_id = a.id
),
free AS MATERIALIZED (SELECT p.*, p.slots - p.covered AS free FROM parts p),
wanted AS MATERIALIZED (
    SELECT f.*, CASE WHEN f.state = 'active' THEN f.free - f.excepted ELSE '{}' END AS wanted,
           count_slots(f.kept, f.slot) AS kept_slots, count_slots(f.slots, f.slot) AS readable_slots,
           count_slots(f.free, f.slot) AS free_slots,
           count_slots(f.free - f.excepted, f.slot) AS lacking_slots
    FROM free f
),
added AS (
    INSERT INTO request_model (request_id, model_id, wanted, slots)
    SELECT $1::bigint, w.id, w.wanted, w.lacking_slots FROM wanted w WHERE $1 IS NOT NULL AND NOT isempty(w.wanted)
)
SELECT w.project, w.name AS model, w.state, lower(w.span) AS low, upper(w.span) AS high,
       CASE WHEN w.state = 'active' THEN w.lacking_slots ELSE 0 END AS slots, n.windows, n.calls,
       -- what is left out, and what waits
       w.readable_slots - w.free_slots AS covered, w.free_slots - w.lacking_slots AS excepted,
       count_slots(w.wanted * w.parked, w.slot) AS parked, w.kept_slots - w.readable_slots AS not_readable,
       count_slots(tstzmultirange(w.span), w.slot) - w.kept_slots AS not_kept,
       CASE WHEN w.state = 'active' THEN 0 ELSE w.lacking_slots END AS not_predicted
FROM wanted w
CROSS JOIN LATERAL (
    SELECT count(*) AS windows,
           coalesce(sum(ceil(date_part('epoch', upper(r) - lower(r)) / date_part('epoch', w.fold))), 0)::bigint AS calls
    FROM unnest(w.wanted - w.parked) AS r
) n
ORDER BY w.project, w.name;

-- lacking --
-- From when until when a required sink ($1) lacks something, and what time it is now; no row: it is not required.
SELECT min(lower(l.lacks)) AS since, max(upper(l.lacks)) AS until, ledger_now() AS now
FROM sink s LEFT JOIN sink_lacks l ON l.sink = s.name WHERE s.name = $1 AND s.required GROUP BY s.name;

-- select_copied --
-- What a request ($1, null: none is made) copies to a sink ($2) of models ($3) in $4..$5: what it lacks, or all that is stored
-- ($6). Sinks that can be read ($7) have what the ledger knows of them, as long as they keep it; for what none of them has,
-- there may be readings (for each model $8, null: for ever).
WITH clock AS MATERIALIZED (SELECT ledger_now() AS at),
asked AS MATERIALIZED (
    SELECT m.id, m.project, m.name, m.slot, least(m.fold, m.fold_limit) AS fold, m.state,
           tstzrange(date_bin(m.slot, $4::timestamptz, 'epoch'),
                     greatest(date_bin(m.slot, $4, 'epoch'),
                              date_bin(m.slot, $5::timestamptz - interval '1 microsecond', 'epoch') + m.slot)) AS span,
           date_bin(m.slot, clock.at - k.kept_for, 'epoch') + m.slot AS kept_from,
           date_bin(m.slot, clock.at - c.readable_for, 'epoch') + m.slot AS readable_from
    FROM unnest($3::bigint[], $8::interval[]) AS c(id, readable_for) JOIN model m USING (id) CROSS JOIN clock
    JOIN sink k ON k.name = $2
),
stored AS MATERIALIZED (
    SELECT a.*, tstzmultirange(a.span) * CASE WHEN $6 THEN t.slots ELSE coalesce(l.lacks, '{}') END AS slots,
           coalesce((SELECT p.windows FROM model_parked p WHERE p.model_id = a.id), '{}') AS parked,
           coalesce((
               SELECT range_agg(h) FROM sink s LEFT JOIN sink_model o ON o.sink = s.name AND o.model_id = a.id
               CROSS JOIN LATERAL unnest(
                   CASE WHEN s.required THEN t.slots - coalesce(o.lacks + o.lost, '{}') ELSE coalesce(o.held, '{}') END
                   * tstzmultirange(tstzrange(date_bin(a.slot, clock.at - s.kept_for, 'epoch') + a.slot, NULL))) AS h
               WHERE s.name = ANY ($7::text[]) AND s.name <> $2), '{}') AS elsewhere
    FROM asked a CROSS JOIN clock JOIN model_stored t ON t.model_id = a.id
    LEFT JOIN sink_lacks l ON l.sink = $2 AND l.model_id = a.id
),
wanted AS MATERIALIZED (
    SELECT s.*, s.slots * tstzmultirange(tstzrange(s.kept_from, NULL)) AS kept,
           CASE WHEN s.state = 'active' THEN s.slots * tstzmultirange(tstzrange(s.kept_from, NULL)) ELSE '{}' END AS wanted
    FROM stored s
),
added AS (
    INSERT INTO request_model (request_id, model_id, wanted, slots)
    SELECT $1::bigint, w.id, w.wanted, count_slots(w.wanted, w.slot) FROM wanted w
    WHERE $1 IS NOT NULL AND NOT isempty(w.wanted)
)
SELECT w.project, w.name AS model, w.state, lower(w.span) AS low, upper(w.span) AS high,
       count_slots(w.wanted, w.slot) AS slots, n.windows, n.calls,
       count_slots(w.wanted * w.elsewhere, w.slot) AS copied,
       count_slots((w.wanted - w.elsewhere) * tstzmultirange(tstzrange(w.readable_from, NULL)), w.slot) AS predicted,
       0 AS covered, 0 AS excepted, count_slots(w.wanted * w.parked, w.slot) AS parked,
       count_slots((w.wanted - w.elsewhere) * tstzmultirange(tstzrange(NULL, w.readable_from)), w.slot)
           * (w.readable_from IS NOT NULL)::integer AS not_readable,
       count_slots(w.slots - w.kept, w.slot) AS not_kept,
       CASE WHEN w.state = 'active' THEN 0 ELSE count_slots(w.kept, w.slot) END AS not_predicted
FROM wanted w
CROSS JOIN LATERAL (
    SELECT (SELECT count(*) FROM unnest(w.wanted - w.parked)) AS windows,
           coalesce(sum(ceil(date_part('epoch', upper(r) - lower(r)) / date_part('epoch', w.fold))), 0)::bigint AS calls
    FROM unnest(w.wanted - w.elsewhere - w.parked) AS r
) n
ORDER BY w.project, w.name;

-- recent_speed --
-- Seconds that a task of other lanes than live took lately, else of any lane, and how many run at the same time.
SELECT coalesce(avg(extract(epoch FROM settled_at - claimed_at)) FILTER (WHERE lane <> 'live'),
                avg(extract(epoch FROM settled_at - claimed_at)))::float8 AS seconds,
       (SELECT sum(concurrency) FROM executor
        WHERE seen_at > ledger_now() - interval '2 minutes' AND drained_at IS NULL)::float8 AS at_once
FROM task_history
WHERE settled_at > (SELECT ledger_now() - interval '1 day') AND outcome = 'stored' AND claimed_at IS NOT NULL;

-- discard_request --
DELETE FROM request WHERE id = $1;

-- complete_request --
UPDATE request SET models = $2, slots = $3, digest = $4, result = $5 WHERE id = $1;

-- find_request --
SELECT id, kind, state FROM request WHERE id = $1 AND state IS NOT NULL FOR UPDATE;

-- set_request_state --
-- A person has looked at what failed: only new failures count from now on.
UPDATE request SET state = $2, note = $3, failures = 0, ended_at = CASE WHEN $2 = 'cancelled' THEN ledger_now() END WHERE id = $1;

-- lock_models_of_request --
-- In the order of `settle_lock`.
SELECT FROM coverage WHERE model_id IN (SELECT model_id FROM request_model WHERE request_id = $1 AND open)
ORDER BY model_id FOR UPDATE;

-- close_request_models --
UPDATE request_model SET open = false WHERE request_id = $1 AND open;

-- unpark_requested --
-- What a request wants is not parked any more. Returns how many windows that were.
WITH wanted AS (
    SELECT p.model_id, p.revision, p.reason, p.windows * q.wanted AS windows, p.windows - q.wanted AS rest
    FROM request_model q JOIN model m ON m.id = q.model_id AND m.state = 'active'
    JOIN parked p ON p.model_id = q.model_id AND p.windows && q.wanted
    WHERE q.request_id = $1 AND q.open
),
gone AS (
    DELETE FROM parked p USING wanted w
    WHERE (p.model_id, p.revision, p.reason) = (w.model_id, w.revision, w.reason) AND isempty(w.rest)
),
cut AS (
    UPDATE parked p SET windows = w.rest FROM wanted w
    WHERE (p.model_id, p.revision, p.reason) = (w.model_id, w.revision, w.reason) AND NOT isempty(w.rest)
)
SELECT count(*) AS windows, count(DISTINCT model_id) AS models FROM wanted w CROSS JOIN LATERAL unnest(w.windows);

-- backfill_paused --
SELECT EXISTS (SELECT FROM runtime_limit WHERE name = 'backfill_paused') AS paused;
