-- The models that the ledger knows.

-- models --
SELECT m.project, m.name AS model, m.revision, m.epoch, CASE WHEN m.paused THEN 'paused' ELSE m.state END AS state,
       m.since, m.slot, m.delay, m.fold, m.anomaly, m.spec ->> 'resolution' AS resolution,
       upper(c.covered) AS covered_until, c.silent_since,
       EXISTS (SELECT FROM parked p WHERE p.model_id = m.id) AS parked, c.not_finite AS not_finite_share
FROM model m JOIN coverage c ON c.model_id = m.id
WHERE ($1::text IS NULL OR m.project = $1) AND ($2::text IS NULL OR m.name = $2)
ORDER BY m.project, m.name LIMIT $3;
