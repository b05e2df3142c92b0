-- Idempotency keys of the last day.

-- take_key --
-- A row if the key ($2) of $1 is new, or older than a day, or was taken minutes ago by a process that never answered.
-- Keys that are of no use any more go with it.
WITH old AS (
    DELETE FROM idempotency_key WHERE at < ledger_now() - interval '1 day' AND (who, key) <> ($1, $2)
)
INSERT INTO idempotency_key AS k (who, key, request, at) VALUES ($1, $2, $3, ledger_now())
ON CONFLICT (who, key) DO UPDATE SET request = $3, at = ledger_now(), status = NULL, media_type = NULL, content = NULL
WHERE k.at < ledger_now() - interval '1 day' OR (k.status IS NULL AND k.at < ledger_now() - interval '2 minutes')
RETURNING at;

-- answer_of_key --
SELECT request, status, media_type, content FROM idempotency_key WHERE who = $1 AND key = $2;

-- keep_answer --
UPDATE idempotency_key SET status = $3, media_type = $4, content = $5 WHERE who = $1 AND key = $2;

-- forget_key --
DELETE FROM idempotency_key WHERE who = $1 AND key = $2;
