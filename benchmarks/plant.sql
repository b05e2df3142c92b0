-- What a ledger looks like after a month: models lack something here and there, some are late, silent, parked or out.

-- coverage --
INSERT INTO coverage (model_id, silent_since, covered)
SELECT m.id, CASE WHEN m.id % 50 = 3 THEN now() - interval '6 hours' END,
       tstzmultirange(tstzrange(m.since, date_bin(m.slot, now() - m.delay, 'epoch')
                                         - m.slot * (CASE WHEN m.id % 10 = 0 THEN (m.id % 97)::int ELSE (m.id % 2)::int END)))
       - (SELECT coalesce(range_agg(tstzrange(at, at + m.slot * (1 + g % 5))), '{}')
          FROM generate_series(1, (m.id % 40)::int) AS g
          CROSS JOIN LATERAL (SELECT date_bin(m.slot, now(), 'epoch')
                                     - m.slot * (10 + (m.id * 7 + g * g * 13) % 1380)::int) AS s (at))
FROM model m;

-- exceptions --
INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots, tags)
SELECT m.id, (ARRAY['absent', 'short', 'provisional'])[1 + g % 3], 'no data: ' || g, 0,
       CASE WHEN g % 2 = 0 THEN 'infinity' ELSE now() + interval '1 hour' END,
       (SELECT range_agg(tstzrange(at, at + m.slot))
        FROM generate_series(g * 3, g * 3 + (m.id % 4)::int) AS h
        CROSS JOIN LATERAL (SELECT date_bin(m.slot, now(), 'epoch')
                                   - m.slot * (5 + (m.id * 7 + h * h * 13) % 1380)::int) AS s (at)),
       ARRAY['tag-' || m.id % 500]
FROM model m CROSS JOIN LATERAL generate_series(1, (m.id % 4)::int) AS g;

-- parked --
INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)
SELECT id, revision, 'attempts', 'five attempts', tstzmultirange(tstzrange(due - slot * 3, due)), now(), 'bench'
FROM (SELECT *, date_bin(slot, now() - delay, 'epoch') AS due FROM model) m WHERE id % 100 = 7;

-- tasks --
INSERT INTO task (model_id, epoch, span, lane, state, planned_at)
SELECT id, 1, tstzrange(due - slot, due), 'live', 'published', now()
FROM (SELECT *, date_bin(slot, now() - delay, 'epoch') AS due FROM model) m WHERE id % 9 = 0;

-- history --
-- Half an hour of it.
INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, rows, covered,
                          planned_at, claimed_at, settled_at)
SELECT n, n, '1764547200000', 1, tstzrange(now() - interval '30 minutes', now()), 'live', 'stored', 0, 1, 3,
       '30 minutes', now(), now() - interval '2 seconds', now() - interval '30 minutes' * (n / 9000.0)
FROM generate_series(1, 9000) AS n;

-- freshness --
-- Of ten projects, for every five minutes of 30 days.
WITH counted AS (
    INSERT INTO freshness (period, project, outcome, model_time)
    SELECT period, 'plant-' || p, outcome, interval '5 minutes' * 300
    FROM generate_series(date_bin('5 minutes', now() - interval '30 days', 'epoch'), now(), interval '5 minutes') AS period
    CROSS JOIN generate_series(0, 9) AS p CROSS JOIN unnest(ARRAY['fresh', 'gordo', 'parked']) AS outcome
    RETURNING project, outcome, model_time
)
INSERT INTO freshness_total SELECT project, outcome, sum(model_time) FROM counted GROUP BY project, outcome;

-- counted --
UPDATE tally SET counted_until = now();
