-- Times go in and out as microseconds since the epoch: exact, and cheaper than a datetime each.

-- intern_columns --
-- The id of a model's columns; new columns are inserted.
WITH series AS (
    INSERT INTO prediction_series (project, model) VALUES ($1, $2)
    ON CONFLICT (project, model) DO UPDATE SET model = EXCLUDED.model
    RETURNING id
)
INSERT INTO prediction_columns (series_id, revision, column_groups, tags, digest, used_until)
SELECT id, $3, $4::text[], $5::text[], $6, timestamptz 'epoch' + $7::bigint * interval '1 microsecond' FROM series
ON CONFLICT (digest) DO UPDATE SET used_until = greatest(prediction_columns.used_until, EXCLUDED.used_until)
RETURNING id;

-- ensure_days --
SELECT ensure_prediction_day(date 'epoch' + day) FROM unnest($1::integer[]) AS day ORDER BY day;

-- write_rows --
-- One call, whatever the number of rows: the values of all rows are in one flat array, $5 to a row. No row is written
-- when the columns do not exist any more ($1 may be older than a restore of the database). A row of a newer writer stays.
-- So does one that is there already, unless its writer is older: else a writer between the two could still replace it.
WITH columns AS MATERIALIZED (
    SELECT id, series_id FROM prediction_columns WHERE id = $1 AND digest = $2
)
INSERT INTO prediction AS p (series_id, time, columns_id, values, incarnation, epoch, task_id, claim)
SELECT c.series_id, timestamptz 'epoch' + r.time * interval '1 microsecond', c.id,
       ($4::float8[])[(r.row - 1) * $5::integer + 1 : r.row * $5::integer],
       $6::bigint, $7::integer, $8::bigint, $9::integer
FROM columns c, unnest($3::bigint[]) WITH ORDINALITY AS r (time, row)
ON CONFLICT (series_id, time) DO UPDATE
SET columns_id = EXCLUDED.columns_id, values = EXCLUDED.values, incarnation = EXCLUDED.incarnation,
    epoch = EXCLUDED.epoch, task_id = EXCLUDED.task_id, claim = EXCLUDED.claim
WHERE p.incarnation IS NULL
   OR (p.incarnation, p.epoch, p.task_id, p.claim) < ($6::bigint, $7::integer, $8::bigint, $9::integer)
   OR ((p.incarnation, p.epoch, p.task_id, p.claim) = ($6::bigint, $7::integer, $8::bigint, $9::integer)
       AND (p.columns_id, p.values) IS DISTINCT FROM (EXCLUDED.columns_id, EXCLUDED.values));

-- has_columns --
SELECT EXISTS (SELECT FROM prediction_columns WHERE id = $1 AND digest = $2);

-- newer_rows --
-- Times among $2 at which the series of columns $1 has a row of a newer writer than $3 to $6.
SELECT (extract(epoch FROM p.time) * 1000000)::bigint AS time
FROM prediction p
WHERE p.series_id = (SELECT series_id FROM prediction_columns WHERE id = $1)
  AND p.time = ANY (SELECT timestamptz 'epoch' + t * interval '1 microsecond' FROM unnest($2::bigint[]) AS t)
  AND (p.incarnation, p.epoch, p.task_id, p.claim) > ($3::bigint, $4::integer, $5::bigint, $6::integer);

-- read_rows --
SELECT p.columns_id, (extract(epoch FROM p.time) * 1000000)::bigint AS time, p.values
FROM prediction p
WHERE p.series_id = (SELECT id FROM prediction_series WHERE project = $1 AND model = $2)
  AND p.time >= timestamptz 'epoch' + $3::bigint * interval '1 microsecond'
  AND p.time < timestamptz 'epoch' + $4::bigint * interval '1 microsecond'
ORDER BY p.time;

-- read_any_row --
SELECT p.time, s.project FROM prediction p JOIN prediction_series s ON s.id = p.series_id LIMIT 1;

-- read_columns --
SELECT id, revision, column_groups, tags FROM prediction_columns WHERE id = ANY ($1::integer[]);

-- lock_days --
SELECT pg_advisory_lock(hashtext('latigo prediction days'));

-- old_days --
-- Partitions that end at or before day $1 (days since the epoch), oldest first, and those whose drop was interrupted.
SELECT c.relname AS name, i.inhrelid IS NOT NULL AS attached, coalesce(i.inhdetachpending, false) AS leaving
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'prediction'::regclass
WHERE c.relkind = 'r' AND c.relname ~ '^prediction_\d{8}$'
  AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'prediction'::regclass)
  AND (i.inhrelid IS NULL OR i.inhdetachpending OR to_date(right(c.relname, 8), 'YYYYMMDD') < date 'epoch' + $1::integer)
ORDER BY c.relname;

-- drop_unused_columns --
DELETE FROM prediction_columns
WHERE used_until <= timestamptz 'epoch' + $1::bigint * interval '1 microsecond';
