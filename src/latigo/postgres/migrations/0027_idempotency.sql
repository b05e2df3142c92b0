-- Actions over HTTP that are requested again with the same key are not done again.

-- idempotency_key --
CREATE TABLE idempotency_key (
    who             text NOT NULL,         -- whose token it came with
    key             text NOT NULL,
    at              timestamptz NOT NULL,
    request         bytea NOT NULL,        -- a digest of what was requested
    status          integer,               -- of the answer; null while it is being done
    media_type      text,
    content         bytea,
    PRIMARY KEY (who, key)
);
