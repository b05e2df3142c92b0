-- Bad readings, as each process counts them from its start.

-- report --
-- $1 has counted so many; $2 places, $3 tags, $4 faults, $5 readings, $6 examples, $7 first and $8 newest times.
INSERT INTO bad_reading AS b (process, place, tag, fault, readings, example, first_at, last_at)
SELECT $1, n.place, n.tag, n.fault, n.readings, n.example, n.first_at, n.last_at
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[], $8::timestamptz[])
     AS n (place, tag, fault, readings, example, first_at, last_at)
ON CONFLICT (process, place, tag, fault) DO UPDATE SET readings = excluded.readings, last_at = excluded.last_at;

-- drop_old --
-- What was not found again for $1.
DELETE FROM bad_reading WHERE last_at < ledger_now() - $1::interval;
