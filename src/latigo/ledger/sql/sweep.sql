-- The sweep for late readings: fingerprints of slots, and the requests that compare them.

-- keep_fingerprints --
-- Of windows ($1, $2..$3) that were predicted: what they were predicted from replaces what was known.
WITH stale AS (
    DELETE FROM fingerprint f
    USING unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS w (model_id, low, high)
    WHERE f.model_id = w.model_id AND f.low < w.high AND f.high > w.low
      AND (f.model_id, f.low) NOT IN (SELECT * FROM unnest($4::bigint[], $5::timestamptz[]))
)
INSERT INTO fingerprint (model_id, low, high, read_at, cells)
SELECT n.model_id, n.low, n.high, ledger_now(), n.cells
FROM unnest($4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::bytea[]) AS n (model_id, low, high, cells)
ON CONFLICT (model_id, low) DO UPDATE SET high = excluded.high, read_at = excluded.read_at, cells = excluded.cells;

-- keep_compared --
-- What tasks ($1) have compared is not wanted any more, but for what has moved ($2), which waits to be predicted.
WITH done AS (
    SELECT t.request_id, t.model_id, t.span, c.moved::tstzmultirange AS moved
    FROM unnest($1::bigint[], $2::text[]) AS c (id, moved) JOIN task t ON t.id = c.id
),
compared AS (
    UPDATE fingerprint f
    SET read_at = CASE WHEN d.moved @> f.low THEN f.read_at ELSE ledger_now() END,
        cells = CASE WHEN d.moved @> f.low THEN '' ELSE f.cells END
    FROM done d WHERE f.model_id = d.model_id AND f.low >= lower(d.span) AND f.low < upper(d.span)
)
UPDATE request_model q
SET wanted = q.wanted - (tstzmultirange(d.span) - d.moved), open = NOT isempty(q.wanted - (tstzmultirange(d.span) - d.moved))
FROM done d WHERE q.request_id = d.request_id AND q.model_id = d.model_id;

-- may_begin --
-- Whether slots have reached one of the ages ($1) since they were read, and no sweep is paused or began less than $2 ago.
SELECT NOT EXISTS (SELECT FROM request WHERE kind = 'sweep' AND (state = 'paused' OR at > ledger_now() - $2::interval))
   AND EXISTS (SELECT FROM fingerprint f JOIN model m ON m.id = f.model_id AND m.state = 'active' AND NOT m.paused
               WHERE EXISTS (SELECT FROM unnest($1::interval[]) AS age
                             WHERE f.high + age <= ledger_now() AND f.read_at < f.high + age)) AS may_begin;

-- lock_swept --
-- In the order of `settle_lock`, whatever may change: models that are predicted have fingerprints.
SELECT FROM coverage c
WHERE EXISTS (SELECT FROM fingerprint f WHERE f.model_id = c.model_id)
   OR EXISTS (SELECT FROM request_model q JOIN request r ON r.id = q.request_id
              WHERE q.model_id = c.model_id AND q.open AND r.kind = 'sweep')
ORDER BY c.model_id FOR UPDATE;

-- delete_fingerprints --
-- Of slots that are not read any more: they were read after the last of the ages ($1), or have waited for too long, or the
-- slots of their model have another length by now.
DELETE FROM fingerprint f USING model m
WHERE m.id = f.model_id
  AND (f.read_at >= f.high + $1::interval OR f.high < ledger_now() - $1 - interval '7 days'
       OR f.high - f.low <> m.slot OR date_bin(m.slot, f.low, 'epoch') <> f.low);

-- end_sweeps --
-- All but one ($2; null: all), for a reason ($1). What they have not compared is due still.
WITH closed AS (
    UPDATE request_model q SET open = false
    FROM request r
    WHERE r.id = q.request_id AND r.kind = 'sweep' AND r.id IS DISTINCT FROM $2::bigint AND q.open
)
UPDATE request SET state = 'cancelled', note = $1, ended_at = ledger_now()
WHERE kind = 'sweep' AND state IN ('active', 'paused') AND id IS DISTINCT FROM $2;

-- is_left --
SELECT EXISTS (SELECT FROM fingerprint)
    OR EXISTS (SELECT FROM request WHERE kind = 'sweep' AND state IN ('active', 'paused')) AS is_left;

-- forget_fingerprints --
DELETE FROM fingerprint;

-- delete_sweeps --
-- Those that ended a while ago: there are several a day, and people look for requests of their own.
DELETE FROM request WHERE kind = 'sweep' AND state IN ('done', 'cancelled') AND ended_at < ledger_now() - interval '2 days';

-- begin_sweep --
-- A request, for a reason ($1), with $2 tasks at most, for the slots that have reached one of the ages ($3) since they were
-- read; of the models that have waited longest, $4 at most.
WITH due AS MATERIALIZED (
    SELECT f.model_id, range_agg(tstzrange(f.low, f.high)) AS slots, count(*) AS count, min(f.low) AS low, max(f.high) AS high
    FROM fingerprint f JOIN model m ON m.id = f.model_id AND m.state = 'active' AND NOT m.paused
    WHERE EXISTS (SELECT FROM unnest($3::interval[]) AS age WHERE f.high + age <= ledger_now() AND f.read_at < f.high + age)
    GROUP BY f.model_id ORDER BY min(f.read_at), f.model_id LIMIT $4
),
begun AS (
    INSERT INTO request (kind, who, why, at, selector, state, low, high, at_most, models, slots, result)
    SELECT 'sweep', 'latigo', $1, ledger_now(), '{"names": ["*"]}', 'active', min(d.low), max(d.high), $2, count(*), sum(d.count),
           format('%s slots of %s models', sum(d.count), count(*))
    FROM due d HAVING count(*) > 0
    RETURNING id, models, slots
),
added AS (
    INSERT INTO request_model (request_id, model_id, wanted, slots)
    SELECT b.id, d.model_id, d.slots, d.count FROM begun b CROSS JOIN due d
)
SELECT id, models, slots FROM begun;
