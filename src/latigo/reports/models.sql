-- The models that the ledger knows.

-- plan_for_parameters --
-- Without this, a plan for whatever is asked is made after a few times, and takes twice as long for all of 100 000 models.
SET LOCAL plan_cache_mode = force_custom_plan;

-- models --
-- Null matches all; a state is also parked or silent, which several states may be. Those that are expected and not built
-- are listed for that state only. Ordered by $4; $5 at most (0: all) after $7 others. $6 are patterns that all match; $8 is a tag
-- that is read. `why` is why one lacks predictions now, a reason and then its tags: parked before silent, before waiting, before what
-- is unavailable. The list may have 100 000 rows: that is looked for only where there is one, durations are sent as seconds, and the
-- columns are those of KnownModel, in order.
SELECT p.project, p.model, p.revision, p.epoch, p.state, p.since, date_part('epoch', p.slot) AS slot,
       date_part('epoch', p.delay) AS delay, date_part('epoch', p.fold) AS fold, p.anomaly, p.resolution, p.covered_until,
       p.silent_since, p.parked, p.not_finite_share, p.missing_since,
       CASE WHEN p.parked OR p.silent_since IS NOT NULL OR p.held_for <> ''
                 OR p.id IN (SELECT t.model_id FROM task t WHERE t.state = 'waiting' AND t.detail <> '') THEN (
           SELECT w.reason || w.tags FROM (
               (SELECT 1 AS rank, k.reason, k.tags FROM parked k WHERE k.model_id = p.id ORDER BY k.since DESC LIMIT 1)
               UNION ALL
               (SELECT 2, e.reason, e.tags FROM slot_exception e
                WHERE e.model_id = p.id AND e.state = 'absent' AND p.silent_since IS NOT NULL ORDER BY upper(e.slots) DESC LIMIT 1)
               UNION ALL
               (SELECT 3, 'waits for another attempt: ' || left(t.detail, 200), '{}' FROM task t
                WHERE t.model_id = p.id AND t.state = 'waiting' AND t.detail <> '' ORDER BY t.id LIMIT 1)
               UNION ALL
               SELECT 4, p.held_for || ' is unavailable', '{}' WHERE p.held_for <> '' AND p.hold_until > ledger_now()
               ORDER BY rank LIMIT 1
           ) w
       ) END AS why, p.total
FROM (
SELECT k.*, count(*) OVER () AS total FROM (
    SELECT m.id, c.hold_until, c.held_for, m.project, m.name AS model, m.revision, m.epoch, known_state(m.state, m.paused, m.missing_since) AS state,
           m.since, m.slot, m.delay, m.fold, m.anomaly, m.spec ->> 'resolution' AS resolution,
           c.covered_end AS covered_until, c.silent_since,
           m.id IN (SELECT p.model_id FROM parked p) AS parked, c.not_finite AS not_finite_share,
           CASE WHEN m.state = 'gone' THEN m.missing_since END AS missing_since
    FROM model m JOIN coverage c ON c.model_id = m.id
    WHERE ($1::text[] IS NULL OR m.project LIKE ANY ($1)) AND ($2::text[] IS NULL OR m.name LIKE ANY ($2))
      AND ($8::text IS NULL OR tags_of_spec(m.spec) ? $8)
    UNION ALL
    SELECT NULL, NULL, '', e.project, e.name, '', 0, 'expected', e.since, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL
    FROM expected_model e
    WHERE $3::text = 'expected' AND $8 IS NULL AND ($1 IS NULL OR e.project LIKE ANY ($1)) AND ($2 IS NULL OR e.name LIKE ANY ($2))
) AS k
WHERE ($3::text IS NULL OR k.state = $3 OR ($3 = 'parked' AND k.parked) OR ($3 = 'silent' AND k.silent_since IS NOT NULL))
  AND ($6::text[] = '{}' OR k.project || '/' || k.model ILIKE ALL ($6))
ORDER BY CASE WHEN $4::text = 'behind' THEN coalesce(k.covered_until, '-infinity') END,
         CASE WHEN $4 = 'silent' THEN k.silent_since END, CASE WHEN $4 = 'state' THEN k.state END, k.project, k.model
LIMIT nullif($5::bigint, 0) OFFSET $7
) p
ORDER BY CASE WHEN $4 = 'behind' THEN coalesce(p.covered_until, '-infinity') END,
         CASE WHEN $4 = 'silent' THEN p.silent_since END, CASE WHEN $4 = 'state' THEN p.state END, p.project, p.model;

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
