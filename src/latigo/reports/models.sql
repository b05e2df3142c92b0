-- The models that the ledger knows.

-- models --
-- Null matches all; a state is also parked or silent, which several states may be. Those that are expected and not built
-- are listed for that state only. Ordered by $4; $5 at most (0: all) after $7 others. $6 are patterns that all match.
SELECT k.*, count(*) OVER () AS total FROM (
    SELECT m.project, m.name AS model, m.revision, m.epoch, known_state(m.state, m.paused, m.missing_since) AS state,
           m.since, m.slot, m.delay, m.fold, m.anomaly, m.spec ->> 'resolution' AS resolution,
           upper(c.covered) AS covered_until, c.silent_since,
           EXISTS (SELECT FROM parked p WHERE p.model_id = m.id) AS parked, c.not_finite AS not_finite_share,
           CASE WHEN m.state = 'gone' THEN m.missing_since END AS missing_since
    FROM model m JOIN coverage c ON c.model_id = m.id
    WHERE ($1::text[] IS NULL OR m.project LIKE ANY ($1)) AND ($2::text[] IS NULL OR m.name LIKE ANY ($2))
    UNION ALL
    SELECT e.project, e.name, '', 0, 'expected', e.since, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL
    FROM expected_model e
    WHERE $3::text = 'expected' AND ($1 IS NULL OR e.project LIKE ANY ($1)) AND ($2 IS NULL OR e.name LIKE ANY ($2))
) AS k
WHERE ($3::text IS NULL OR k.state = $3 OR ($3 = 'parked' AND k.parked) OR ($3 = 'silent' AND k.silent_since IS NOT NULL))
  AND k.project || '/' || k.model ILIKE ALL ($6::text[])
ORDER BY CASE WHEN $4::text = 'behind' THEN coalesce(k.covered_until, '-infinity') END,
         CASE WHEN $4 = 'silent' THEN k.silent_since END, CASE WHEN $4 = 'state' THEN k.state END, k.project, k.model
LIMIT nullif($5::bigint, 0) OFFSET $7;

-- spec --
-- What the ledger keeps of a model's metadata; null while it is unusable.
SELECT revision, anomaly, spec FROM model WHERE project = $1 AND name = $2;

-- newest_due --
-- The newest due slot of a model, and when the next one is due; no row where it is before the model's beginning.
SELECT n.newest, n.newest + 2 * n.slot + n.delay AS next_due
FROM (SELECT date_bin(slot, ledger_now() - delay, 'epoch') - slot AS newest, slot, delay, since FROM model
      WHERE project = $1 AND name = $2) n
WHERE n.newest >= n.since;

-- holes --
-- What could be planned now of a model, the newest first, $3 at most; total counts all.
SELECT lower(r) AS start, upper(r) AS "end", count(*) OVER () AS total
FROM model_holes h CROSS JOIN LATERAL unnest(h.holes) AS r
WHERE h.model_id = (SELECT id FROM model WHERE project = $1 AND name = $2)
ORDER BY r DESC LIMIT $3;

-- registered --
SELECT registered FROM roster WHERE project = $1 AND name = $2;
