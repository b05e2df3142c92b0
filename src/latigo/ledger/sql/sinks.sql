-- Sinks: which are required, and what they lack.

-- sinks --
SELECT name, required, kept_for FROM sink;

-- lock_models --
-- In the order of `settle_lock`: what is settled from now on knows which sinks are required.
SELECT FROM coverage ORDER BY model_id FOR UPDATE;

-- put_sinks --
INSERT INTO sink AS s (name, required, since, kept_for)
SELECT n.name, true, ledger_now(), n.kept_for FROM unnest($1::text[], $2::interval[]) AS n (name, kept_for)
ON CONFLICT (name) DO UPDATE
SET required = true, kept_for = excluded.kept_for, since = CASE WHEN s.required THEN s.since ELSE excluded.since END;

-- drop_sinks --
UPDATE sink SET required = false, since = ledger_now() WHERE name = ANY ($1::text[]);

-- keep_held --
-- Sinks ($1) that are not required any more have what was stored until now, but for what they lack.
INSERT INTO sink_model AS k (sink, model_id, held)
SELECT n.name, t.model_id, t.slots
FROM unnest($1::text[]) AS n (name) CROSS JOIN model_stored t WHERE NOT isempty(t.slots)
ON CONFLICT (sink, model_id) DO UPDATE SET held = excluded.held - k.lacks - k.lost, lacks = '{}';

-- keep_lacking --
-- Sinks ($1) that are required from now on lack what is stored, but for what they had before.
INSERT INTO sink_model AS k (sink, model_id, lacks)
SELECT n.name, t.model_id, t.slots
FROM unnest($1::text[]) AS n (name) CROSS JOIN model_stored t WHERE NOT isempty(t.slots)
ON CONFLICT (sink, model_id) DO UPDATE SET lacks = excluded.lacks - k.held - k.lost, held = '{}';

-- delete_empty --
DELETE FROM sink_model WHERE isempty(lacks) AND isempty(lost) AND isempty(held);

-- reduce_copies --
-- What tasks ($1) have copied is not wanted any more. What their sink did not get ($2) is lost: there is nothing to get it
-- from.
WITH done AS (
    SELECT t.request_id, t.model_id, r.sink, t.span, c.held::tstzmultirange AS held
    FROM unnest($1::bigint[], $2::text[]) AS c (id, held) JOIN task t ON t.id = c.id JOIN request r ON r.id = t.request_id
),
got AS (
    UPDATE request_model q
    SET wanted = q.wanted - tstzmultirange(d.span), open = NOT isempty(q.wanted - tstzmultirange(d.span))
    FROM done d WHERE q.request_id = d.request_id AND q.model_id = d.model_id
)
UPDATE sink_model k
SET lacks = k.lacks - tstzmultirange(d.span), lost = k.lost - d.held + (k.lacks * tstzmultirange(d.span) - d.held)
FROM done d WHERE k.sink = d.sink AND k.model_id = d.model_id;
