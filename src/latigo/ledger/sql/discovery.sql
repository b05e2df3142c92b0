-- What names the projects and models to predict.

-- last --
SELECT named, quarantined, quarantined_since FROM discovery WHERE source = $1;

-- named --
INSERT INTO discovery (source, named, read_at) VALUES ($1, $2, ledger_now())
ON CONFLICT (one) DO UPDATE
SET source = $1, named = $2, read_at = ledger_now(), error = '', alarm = false, failing_since = NULL,
    quarantined = NULL, quarantined_since = NULL;

-- failed --
-- A quarantine counts from the last list that could be read; what another source has named is forgotten.
INSERT INTO discovery AS d (source, error, alarm, failing_since) VALUES ($1, $2, $3, ledger_now())
ON CONFLICT (one) DO UPDATE
SET source = $1, error = $2, alarm = $3, quarantined = NULL, quarantined_since = NULL,
    failing_since = CASE WHEN d.source = $1 THEN coalesce(d.failing_since, ledger_now()) ELSE ledger_now() END,
    named = CASE WHEN d.source = $1 THEN d.named END, read_at = CASE WHEN d.source = $1 THEN d.read_at END;

-- quarantined --
-- The quarantine of another list than the last one begins anew.
INSERT INTO discovery AS d (source, quarantined, quarantined_since) VALUES ($1, $2, ledger_now())
ON CONFLICT (one) DO UPDATE
SET source = $1, error = '', alarm = false, failing_since = NULL, quarantined = $2,
    quarantined_since = CASE WHEN d.source = $1 AND d.quarantined = $2
                             THEN coalesce(d.quarantined_since, ledger_now()) ELSE ledger_now() END,
    named = CASE WHEN d.source = $1 THEN d.named END, read_at = CASE WHEN d.source = $1 THEN d.read_at END;

-- forget --
DELETE FROM discovery;
