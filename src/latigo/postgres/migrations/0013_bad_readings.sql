-- Readings that sources have and that cannot be used, as each process has counted them since it started.

-- bad_reading --
-- By process, since several may read the same.
CREATE TABLE bad_reading (
    process         text NOT NULL,
    place           text NOT NULL,
    tag             text NOT NULL,
    fault           text NOT NULL,
    readings        bigint NOT NULL,
    example         text NOT NULL,
    first_at        timestamptz NOT NULL,
    last_at         timestamptz NOT NULL,
    PRIMARY KEY (process, place, tag, fault)
);

-- bad_reading_last_at --
-- For the status, and for what is dropped.
CREATE INDEX bad_reading_last_at ON bad_reading (last_at);
