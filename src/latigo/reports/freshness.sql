-- Counters of freshness, as the scheduler keeps them.

-- tally --
SELECT counted_until, stale FROM tally;

-- counters --
-- Time of all models, by project and fresh or a cause: of the last hour ($1), of the last six ($2), and of all that is kept.
SELECT t.project, t.outcome, coalesce(r.hour, interval '0') AS hour, coalesce(r.six_hours, interval '0') AS six_hours,
       t.model_time AS month
FROM freshness_total t
LEFT JOIN (SELECT project, outcome, sum(model_time) AS six_hours,
                  sum(model_time) FILTER (WHERE period >= $1::timestamptz) AS hour
           FROM freshness WHERE period >= $2::timestamptz GROUP BY project, outcome) r
    ON r.project = t.project AND r.outcome = t.outcome
ORDER BY t.project, t.outcome;
