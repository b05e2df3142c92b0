-- Requests that Latigo makes itself: models in a new revision are predicted again.

-- find_recompute --
-- The active request of this selection ($1).
SELECT id FROM request WHERE state = 'active' AND who = 'latigo' AND kind = 'replace' AND selector = $1::jsonb FOR UPDATE;

-- begin_recompute --
-- $1: the selection; $2: why; $3: how far back.
INSERT INTO request (kind, who, why, at, selector, state, low, high)
VALUES ('replace', 'latigo', $2, ledger_now(), $1, 'active', ledger_now() - $3::interval, ledger_now()) RETURNING id;

-- add_recomputed --
-- A request ($1) wants all that is settled of models ($2) in the last $3, of whatever revision. Returns how much of it is
-- wanted.
WITH settled AS MATERIALIZED (
    SELECT m.id, m.slot,
           (c.covered + coalesce((SELECT range_agg(s) FROM slot_exception e CROSS JOIN LATERAL unnest(e.slots) AS s
                                  WHERE e.model_id = m.id), '{}'))
               * tstzmultirange(tstzrange(date_bin(m.slot, ledger_now() - $3::interval, 'epoch'), NULL)) AS slots
    FROM model m JOIN coverage c ON c.model_id = m.id WHERE m.id = ANY ($2::bigint[])
),
added AS (
    INSERT INTO request_model (request_id, model_id, wanted, slots)
    SELECT $1, s.id, s.slots, count_slots(s.slots, s.slot) FROM settled s WHERE NOT isempty(s.slots)
    ON CONFLICT (request_id, model_id) DO UPDATE SET wanted = excluded.wanted, slots = excluded.slots, open = true
    RETURNING model_id, slots
)
SELECT count(*) AS models, coalesce(sum(slots), 0)::bigint AS slots FROM added;

-- discard_recompute --
DELETE FROM request WHERE id = $1;

-- supersede_recomputed --
-- Earlier requests of this kind want nothing more of models ($2) that a new one ($1) is about.
UPDATE request_model q SET open = false
FROM request r
WHERE r.id = q.request_id AND r.who = 'latigo' AND r.kind = 'replace' AND r.id <> $1
  AND q.model_id = ANY ($2::bigint[]) AND q.open
RETURNING q.request_id;

-- end_superseded --
-- Of requests ($2) nothing may be left but what the new one ($1) is about.
UPDATE request r SET state = 'cancelled', note = format('superseded by request %s', $1::bigint), ended_at = ledger_now()
WHERE r.id = ANY ($2::bigint[]) AND r.state IN ('active', 'paused')
  AND NOT EXISTS (SELECT FROM request_model q WHERE q.request_id = r.id AND q.open);

-- count_recomputed --
UPDATE request SET models = models + $2, slots = slots + $3,
                   result = format('%s slots of %s models', slots + $3, models + $2)
WHERE id = $1;
