-- Late readings, as processes count them.

-- add --
-- In one order, since several processes add to the same rows.
INSERT INTO lateness AS l (source, day, bound, complete, slots)
SELECT n.source, (ledger_now() AT TIME ZONE 'UTC')::date, n.bound, n.complete, n.slots
FROM unnest($1::text[], $2::interval[], $3::boolean[], $4::bigint[]) AS n (source, bound, complete, slots)
ORDER BY n.source, n.bound, n.complete
ON CONFLICT (source, day, bound, complete) DO UPDATE SET slots = l.slots + excluded.slots;

-- drop_old --
-- Days that ended longer ago than $1.
DELETE FROM lateness WHERE day < ((ledger_now() - $1::interval) AT TIME ZONE 'UTC')::date;
