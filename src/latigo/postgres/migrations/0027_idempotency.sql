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

-- service_history --
-- How the service did, every five minutes of the last month: what pages draw as lines.
CREATE TABLE service_history (
    period          timestamptz PRIMARY KEY,
    fresh           integer NOT NULL,           -- models
    stale           integer NOT NULL,
    live_oldest_s   double precision NOT NULL,  -- age of the oldest live task that was out; 0: none was
    backlog         double precision NOT NULL,  -- slots
    rate            double precision NOT NULL   -- slots a second, covered in the five minutes before
);
