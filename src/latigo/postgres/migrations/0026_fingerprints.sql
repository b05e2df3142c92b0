-- What slots were predicted from, so that a sweep finds those whose readings have changed since: see docs/decisions/0027.

-- fingerprint --
-- One row for each covered slot until it was read for the last time; none while `late_data.sweep` is off.
CREATE TABLE fingerprint (
    model_id        bigint NOT NULL REFERENCES model ON DELETE CASCADE,
    low             timestamptz NOT NULL,
    high            timestamptz NOT NULL,
    read_at         timestamptz NOT NULL,  -- its readings, for the last time
    -- the compact form of `latigo.dataset.fingerprint`; empty: it has moved, and waits to be predicted again
    cells           bytea NOT NULL,
    PRIMARY KEY (model_id, low)
);
