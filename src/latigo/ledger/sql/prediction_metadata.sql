-- Descriptions of models for the Metadata API, once for each revision.

-- record --
-- A revision that is older than one that is recorded is on its way out.
INSERT INTO prediction_metadata (model_id, sink, revision, columns, stored_at, next_try)
SELECT m.id, $3, $4, $5, ledger_now(), ledger_now() FROM model m
WHERE m.project = $1 AND m.name = $2
  AND NOT EXISTS (SELECT FROM prediction_metadata o
                  WHERE o.model_id = m.id AND o.sink = $3 AND o.revision::numeric > $4::text::numeric)
ON CONFLICT DO NOTHING;

-- take --
-- At most $3 that are due, which others may take again after $2. Those of sinks that are not among $1 stay.
UPDATE prediction_metadata p SET next_try = ledger_now() + $2::interval, attempts = p.attempts + 1
FROM (
    SELECT d.model_id, d.sink, d.revision FROM prediction_metadata d
    WHERE d.posted_at IS NULL AND d.next_try <= ledger_now() AND d.sink = ANY ($1::text[])
    ORDER BY d.next_try LIMIT $3 FOR UPDATE SKIP LOCKED
) due, model m
WHERE p.model_id = due.model_id AND p.sink = due.sink AND p.revision = due.revision AND m.id = p.model_id
RETURNING p.model_id, p.sink, m.project, m.name, p.revision, p.columns, p.attempts;

-- posted --
-- Nothing needs the columns any more, nor older revisions that are posted as well.
WITH older AS (
    DELETE FROM prediction_metadata o
    WHERE o.model_id = $1 AND o.sink = $2 AND o.revision::numeric < $3::text::numeric AND o.posted_at IS NOT NULL
)
UPDATE prediction_metadata SET posted_at = ledger_now(), next_try = 'infinity', columns = '[]', error = ''
WHERE model_id = $1 AND sink = $2 AND revision = $3;

-- failed --
UPDATE prediction_metadata SET next_try = ledger_now() + $4::interval, error = $5
WHERE model_id = $1 AND sink = $2 AND revision = $3 AND posted_at IS NULL;

-- released --
-- As if it had not been taken.
UPDATE prediction_metadata SET next_try = ledger_now(), attempts = attempts - 1
WHERE model_id = $1 AND sink = $2 AND revision = $3 AND posted_at IS NULL;

-- dropped --
DELETE FROM prediction_metadata WHERE model_id = $1 AND sink = $2 AND revision = $3 AND posted_at IS NULL;
