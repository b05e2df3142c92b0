-- Where predictions are kept: one row per model and time, the column names once per model and revision.

-- prediction_series --
CREATE TABLE prediction_series (
    id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project text NOT NULL,
    model   text NOT NULL,
    UNIQUE (project, model)
);

-- prediction_columns --
CREATE TABLE prediction_columns (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id     integer NOT NULL REFERENCES prediction_series ON DELETE CASCADE,
    revision      text NOT NULL,
    column_groups text[] NOT NULL,
    tags          text[] NOT NULL,  -- empty for whole-model columns
    digest        bytea NOT NULL UNIQUE,  -- of all of the above, since the names themselves are too long for an index
    used_until    timestamptz NOT NULL  -- no row that uses these columns is as young as this
);

-- prediction_columns_of_series --
CREATE INDEX prediction_columns_series ON prediction_columns (series_id);

-- prediction --
-- The key is (model, time) and not (columns, time), so that a newer revision replaces what an older one said.
-- No foreign key to prediction_columns: it would cost every row a look-up and every new day a lock on that table;
-- write_rows checks once a call instead.
CREATE TABLE prediction (
    series_id  integer NOT NULL,
    time       timestamptz NOT NULL,
    columns_id integer NOT NULL,
    values     float8[] NOT NULL,  -- in the order of the columns; NULL where the model said nothing finite
    PRIMARY KEY (series_id, time)
) PARTITION BY RANGE (time);

-- prediction_storage --
ALTER TABLE prediction ALTER COLUMN values SET STORAGE EXTERNAL;  -- numbers hardly compress

-- ensure_prediction_day --
-- One partition a UTC day, made when its first row comes. A table of its own that is attached afterwards, because
-- CREATE TABLE ... PARTITION OF would wait for every reader and writer of all other days, and make the rest wait.
CREATE FUNCTION ensure_prediction_day(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name constant text := 'prediction_' || to_char(day, 'YYYYMMDD');
    leaving boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('latigo prediction days'));
    SELECT inhdetachpending INTO leaving
    FROM pg_inherits WHERE inhparent = 'prediction'::regclass AND inhrelid = to_regclass(name);
    IF leaving THEN
        RAISE EXCEPTION '% is being dropped', name USING ERRCODE = 'lock_not_available';
    ELSIF leaving IS NULL THEN
        EXECUTE format('DROP TABLE IF EXISTS %I', name);  -- left over by a drop that was cut short
        EXECUTE format('CREATE TABLE %I (LIKE prediction INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
                       name);
        EXECUTE format('ALTER TABLE prediction ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
                       day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END IF;
END
$$;

-- v_predictions --
CREATE VIEW v_predictions AS
SELECT s.project, s.model, c.revision, each.column_group, each.tag, p.time, each.value
FROM prediction p
JOIN prediction_series s ON s.id = p.series_id
JOIN prediction_columns c ON c.id = p.columns_id
CROSS JOIN LATERAL unnest(c.column_groups, c.tags, p.values) AS each (column_group, tag, value)
WHERE each.value IS NOT NULL;
