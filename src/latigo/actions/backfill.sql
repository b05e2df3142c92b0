-- Requests for stretches of time.

-- selectable_models --
-- Models that read a tag ($1); null: all.
SELECT id, project, name FROM model
WHERE $1::text IS NULL OR spec -> 'tag_list' ? $1 OR spec -> 'target_tag_list' ? $1 OR spec -> 'filter_tags' ? $1;

-- lock_selected --
-- In the order of `settle_lock`: what is settled from now on is settled after the request was made.
SELECT FROM coverage WHERE model_id = ANY ($1::bigint[]) ORDER BY model_id FOR UPDATE;

-- begin_request --
INSERT INTO request (kind, who, why, at, selector, state, low, high, at_most, stop_after)
VALUES ($1, $2, $3, ledger_now(), $4, 'active', $5, $6, $7, $8) RETURNING id;

-- select_slots --
-- What a request ($1, null: none is made) of a kind ($2) wants of models ($3) in $4..$5, and what it leaves out: whole slots that
-- are due, and that sinks keep ($6, null: for ever). A fill leaves out what is covered or excepted.
WITH clock AS MATERIALIZED (SELECT ledger_now() AS at),
asked AS MATERIALIZED (
    SELECT m.id, m.project, m.name, m.slot, least(m.fold, m.fold_limit) AS fold, m.state, m.paused,
           tstzrange(date_bin(m.slot, $4::timestamptz, 'epoch'),
                     greatest(date_bin(m.slot, $4, 'epoch'),
                              least(date_bin(m.slot, $5::timestamptz - interval '1 microsecond', 'epoch') + m.slot,
                                    date_bin(m.slot, clock.at - m.delay, 'epoch')))) AS span,
           date_bin(m.slot, clock.at - $6::interval, 'epoch') + m.slot AS kept_from
    FROM model m CROSS JOIN clock WHERE m.id = ANY ($3::bigint[])
),
parts AS MATERIALIZED (
    SELECT a.*, tstzmultirange(a.span) * tstzmultirange(tstzrange(a.kept_from, NULL)) AS slots,
           CASE WHEN $2 = 'fill' THEN c.covered ELSE '{}' END AS covered,
           CASE WHEN $2 = 'fill' THEN coalesce(
               (SELECT range_agg(s) FROM slot_exception e CROSS JOIN LATERAL unnest(e.slots) AS s
                WHERE e.model_id = a.id AND e.slots && a.span), '{}') ELSE '{}' END AS excepted,
           coalesce((SELECT p.windows FROM model_parked p WHERE p.model_id = a.id), '{}') AS parked
    FROM asked a JOIN coverage c ON c.model_id = a.id
),
wanted AS MATERIALIZED (
    SELECT p.*, CASE WHEN p.state = 'active' THEN p.slots - p.covered - p.excepted ELSE '{}' END AS wanted FROM parts p
),
counted AS MATERIALIZED (SELECT w.*, count_slots(w.wanted, w.slot) AS wanted_slots FROM wanted w),
added AS (
    INSERT INTO request_model (request_id, model_id, wanted, slots)
    SELECT $1::bigint, c.id, c.wanted, c.wanted_slots FROM counted c WHERE $1 IS NOT NULL AND NOT isempty(c.wanted)
)
SELECT c.project, c.name AS model, c.state, c.paused, lower(c.span) AS low, upper(c.span) AS high,
       c.wanted_slots AS slots,
       (SELECT count(*) FROM unnest(c.wanted)) AS windows,
       -- whole folds of each stretch, and one more where something is left
       (SELECT coalesce(sum(ceil(extract(epoch FROM upper(r) - lower(r))::float8 / extract(epoch FROM c.fold)::float8)), 0)
        FROM unnest(c.wanted - c.parked) AS r)::bigint AS calls,
       -- what is left out, and what waits
       count_slots(c.slots * c.covered, c.slot) AS covered,
       count_slots(c.slots * c.excepted - c.covered, c.slot) AS excepted,
       count_slots(c.wanted * c.parked, c.slot) AS parked,
       count_slots(tstzmultirange(c.span) - c.slots, c.slot) AS not_kept,
       CASE WHEN c.state <> 'active' THEN count_slots(c.slots - c.covered - c.excepted, c.slot) ELSE 0 END AS not_predicted
FROM counted c ORDER BY c.project, c.name;

-- recent_speed --
-- Seconds that a task of other lanes than live took lately, else of any lane, and how many run at the same time.
SELECT coalesce(avg(extract(epoch FROM settled_at - claimed_at)) FILTER (WHERE lane <> 'live'),
                avg(extract(epoch FROM settled_at - claimed_at)))::float8 AS seconds,
       (SELECT sum(concurrency) FROM executor WHERE seen_at > ledger_now() - interval '2 minutes')::float8 AS at_once
FROM task_history
WHERE settled_at > ledger_now() - interval '1 day' AND outcome = 'stored' AND claimed_at IS NOT NULL;

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
