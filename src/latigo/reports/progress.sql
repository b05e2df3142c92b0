-- Sums over the whole ledger.

-- claimed --
-- Tasks that an executor has begun and not settled.
SELECT count(*) AS tasks FROM task WHERE state = 'claimed';

-- stored_rows --
SELECT count(*) AS rows FROM prediction;

-- live_progress --
-- How many slots of each model that ended after $1 are settled: covered or excepted.
WITH settled AS (
    SELECT c.model_id, c.covered + coalesce((SELECT range_agg(s) FROM slot_exception e, unnest(e.slots) AS s
                                             WHERE e.model_id = c.model_id), '{}') AS slots
    FROM coverage c
)
SELECT m.project, m.name AS model,
       coalesce((SELECT sum(extract(epoch FROM upper(r) - lower(r)))
                 FROM unnest(s.slots * tstzmultirange(tstzrange(date_bin(m.slot, $1::timestamptz, 'epoch'), NULL))) AS r), 0)
           / extract(epoch FROM m.slot) AS slots
FROM model m JOIN settled s ON s.model_id = m.id WHERE m.state = 'active';

-- totals --
SELECT (SELECT count(*) FROM model WHERE state = 'active') AS models,
       (SELECT coalesce(sum(greatest(extract(epoch FROM date_bin(m.slot, ledger_now() - m.delay, 'epoch') - m.since), 0)
                            / extract(epoch FROM m.slot)), 0)::float8
        FROM model m WHERE m.state = 'active') AS slots_due,
       (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r)) / extract(epoch FROM m.slot)), 0)::float8
        FROM model m JOIN coverage c ON c.model_id = m.id CROSS JOIN LATERAL unnest(c.covered) AS r) AS slots_covered,
       (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r)) / extract(epoch FROM m.slot)), 0)::float8
        FROM model m JOIN slot_exception e ON e.model_id = m.id CROSS JOIN LATERAL unnest(e.slots) AS r) AS exceptions,
       (SELECT count(*) FROM parked) AS parked,
       (SELECT coalesce(sum(rows), 0) FROM task_history) AS rows_settled,
       (SELECT count(*) FROM task_history) AS tasks_settled;
