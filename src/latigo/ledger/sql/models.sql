-- Projects, models and the roster.

-- project_listed --
INSERT INTO project AS p (name, revision, models, listed_at) VALUES ($1, $2, $3, ledger_now())
ON CONFLICT (name) DO UPDATE
SET revision = excluded.revision, models = excluded.models, listed_at = ledger_now(), error = '',
    doubted_since = NULL, doubted_models = 0, accept_loss = false, outdated_since = NULL, outdated_revision = '';

-- project_outdated --
-- The list is of an older revision ($2) than the accepted one, which stays.
UPDATE project SET outdated_since = coalesce(outdated_since, ledger_now()), outdated_revision = $2, error = ''
WHERE name = $1;

-- delete_expected --
-- Models that are built, or not expected any more; all but $2.
DELETE FROM expected_model WHERE project = $1 AND name <> ALL ($2::text[]);

-- add_expected --
INSERT INTO expected_model (project, name, since) SELECT $1, unnest($2::text[]), ledger_now() ON CONFLICT DO NOTHING;

-- project_failed --
-- A quarantine counts from the last list that could be read.
INSERT INTO project (name, error) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET error = excluded.error, doubted_since = NULL, doubted_models = 0;

-- project_quarantined --
-- A list of another length ($2) is another list: its quarantine begins anew.
UPDATE project
SET doubted_since = CASE WHEN doubted_models = $2 THEN coalesce(doubted_since, ledger_now()) ELSE ledger_now() END,
    doubted_models = $2, error = ''
WHERE name = $1;

-- delete_project --
DELETE FROM project WHERE name = $1;

-- known_models --
SELECT id, name, revision, state, stale_metadata, slot, delay, fold, spec ->> 'resolution' AS resolution
FROM model WHERE project = $1;

-- active_models --
SELECT project, name FROM model WHERE state = 'active';

-- lock_models --
-- In the order of `settle_lock`: waits for models that are being settled.
SELECT c.model_id
FROM unnest($1::text[], $2::text[]) AS n (project, name)
JOIN model m ON m.project = n.project AND m.name = n.name
JOIN coverage c ON c.model_id = m.id
ORDER BY c.model_id
FOR UPDATE OF c;

-- model_states --
-- State of the locked models, as they are known.
SELECT m.project, m.name, m.epoch, m.slot,
       coalesce(m.usable_revision, CASE WHEN m.spec IS NOT NULL THEN m.revision END) AS usable_revision
FROM unnest($1::text[], $2::text[]) AS n (project, name) JOIN model m ON m.project = n.project AND m.name = n.name;

-- upsert_models --
-- Models as their metadata describes them now. The epoch rises when anything that changes predictions has changed.
-- Revisions only move forward: one that is older than the known one changes nothing.
INSERT INTO model AS m (project, name, revision, state, since, slot, delay, fold, spec, anomaly, first_seen, paused,
                       usable_revision)
SELECT n.project, n.name, n.revision, n.state, n.since, n.slot, n.delay, n.fold, n.spec, n.anomaly, ledger_now(),
       is_paused(n.project, n.name), n.revision
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::interval[], $7::interval[],
            $8::interval[], $9::jsonb[], $10::boolean[])
     AS n (project, name, revision, state, since, slot, delay, fold, spec, anomaly)
ON CONFLICT (project, name) DO UPDATE
SET epoch = CASE WHEN m.revision <> excluded.revision OR m.spec IS DISTINCT FROM excluded.spec OR m.slot <> excluded.slot
                 THEN m.epoch + 1 ELSE m.epoch END,
    fold = excluded.fold,
    fold_limit = CASE WHEN m.revision = excluded.revision AND m.slot = excluded.slot THEN m.fold_limit END,
    anomaly = CASE WHEN m.revision <> excluded.revision OR m.anomaly IS NULL THEN excluded.anomaly ELSE m.anomaly END,
    revision = excluded.revision, usable_revision = excluded.revision, state = excluded.state, slot = excluded.slot,
    delay = excluded.delay,
    since = date_bin(excluded.slot, m.since, 'epoch'), spec = excluded.spec, stale_metadata = false
WHERE excluded.revision::numeric >= m.revision::numeric
RETURNING id, project, name, revision, epoch;

-- upsert_unusable --
-- A model that cannot be predicted in this revision. A known one keeps its slots, its beginning and all that is settled;
-- a new one begins its horizon ($4) ago, to be aligned once its slots are known. Revisions only move forward.
INSERT INTO model AS m (project, name, revision, state, since, slot, delay, fold, first_seen, paused)
VALUES ($1, $2, $3, 'unusable', ledger_now() - $4::interval, interval '1 day', interval '0', interval '1 day', ledger_now(),
        is_paused($1, $2))
ON CONFLICT (project, name) DO UPDATE
SET epoch = CASE WHEN m.spec IS NOT NULL THEN m.epoch + 1 ELSE m.epoch END,
    fold_limit = CASE WHEN m.revision = excluded.revision THEN m.fold_limit END,
    anomaly = CASE WHEN m.revision = excluded.revision THEN m.anomaly END,
    revision = excluded.revision, state = excluded.state, spec = NULL, stale_metadata = false
WHERE excluded.revision::numeric >= m.revision::numeric
RETURNING id;

-- ensure_coverage --
INSERT INTO coverage (model_id) SELECT unnest($1::bigint[]) ON CONFLICT DO NOTHING;

-- realign --
-- The slots of models ($1) have a new length: what is settled is kept as far as it fills whole new slots, and requests want
-- the others. What was covered and fills none stays covered, and counts again with slots that it fills.
WITH aligned AS (
    SELECT c.model_id, m.slot, c.covered + c.partial AS covered, whole_slots(c.covered + c.partial, m.slot) AS whole
    FROM coverage c JOIN model m ON m.id = c.model_id WHERE c.model_id = ANY ($1::bigint[])
),
widened AS (
    UPDATE request_model q
    SET wanted = (SELECT range_agg(tstzrange(date_bin(a.slot, lower(w), 'epoch'),
                                             date_bin(a.slot, upper(w) - interval '1 microsecond', 'epoch') + a.slot))
                  FROM unnest(q.wanted) AS w)
    FROM aligned a WHERE q.model_id = a.model_id AND q.open
)
UPDATE coverage c
SET covered = a.whole, partial = a.covered - a.whole, expired = whole_slots(c.expired, a.slot),
    silent_since = date_bin(a.slot, c.silent_since - interval '1 microsecond', 'epoch') + a.slot
FROM aligned a WHERE c.model_id = a.model_id;

-- realign_exceptions --
UPDATE slot_exception e SET slots = whole_slots(e.slots, m.slot) FROM model m WHERE m.id = e.model_id AND m.id = ANY ($1::bigint[]);

-- realign_parked --
UPDATE parked p SET windows = whole_slots(p.windows, m.slot) FROM model m WHERE m.id = p.model_id AND m.id = ANY ($1::bigint[]);

-- delete_empty_exceptions --
DELETE FROM slot_exception WHERE model_id = ANY ($1::bigint[]) AND isempty(slots);

-- delete_empty_parked --
DELETE FROM parked WHERE model_id = ANY ($1::bigint[]) AND isempty(windows);

-- unpark_older --
-- A new revision is tried anew, and so is metadata that can be used now.
DELETE FROM parked p USING model m
WHERE m.id = ANY ($1::bigint[]) AND p.model_id = m.id
  AND (p.revision <> m.revision OR (p.reason = 'bad_metadata' AND m.state <> 'unusable'));

-- unpark_listed --
-- Models that the model server lists again.
DELETE FROM parked p USING model m
WHERE m.id = p.model_id AND p.reason = 'model_gone' AND m.project = $1 AND m.name = ANY ($2::text[]);

-- set_state --
-- Models that are not predicted any more. Whether they are missing or unusable is determined anew when they return.
WITH changed AS (
    UPDATE model SET state = $3, stale_metadata = false, missing_since = CASE WHEN $3 = 'gone' THEN ledger_now() END
    WHERE project = $1 AND name = ANY ($2::text[]) AND state <> $3 RETURNING id, name
),
unparked AS (
    DELETE FROM parked p USING changed c WHERE p.model_id = c.id AND p.reason IN ('bad_metadata', 'model_gone')
)
SELECT name FROM changed;

-- reschedule --
-- Settings of schedule and overrides may change between starts.
UPDATE model m SET delay = s.delay, fold = s.fold, state = s.state
FROM unnest($1::bigint[], $2::interval[], $3::interval[], $4::text[]) AS s (id, delay, fold, state)
WHERE m.id = s.id;

-- roster --
SELECT project, name, registered, data, who, at FROM roster ORDER BY project, name;

-- put_roster --
INSERT INTO roster (project, name, registered, data, who, at) VALUES ($1, $2, $3, $4, $5, ledger_now())
ON CONFLICT (project, name) DO UPDATE SET registered = $3, data = $4, who = $5, at = ledger_now();

-- projects --
SELECT name, revision, models, listed_at, error, doubted_since, doubted_models, accept_loss FROM project ORDER BY name;
