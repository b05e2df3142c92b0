-- Ids of series by name, of one base URL ($1) and of the facility that was asked for ($2, empty for any).

-- load --
-- Those of the names $3 that were found within $4.
SELECT name, id, series_name, series_facility, found_at + $4::interval - ledger_now() AS left
FROM timeseries_series
WHERE base_url = $1 AND facility = $2 AND name = ANY ($3::text[]) AND found_at > ledger_now() - $4::interval;

-- keep --
-- $3 names, $4 ids, $5 names and $6 facilities as the API shows them.
INSERT INTO timeseries_series AS s (base_url, facility, name, id, series_name, series_facility, found_at)
SELECT $1, $2, n.name, n.id, n.series_name, n.series_facility, ledger_now()
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS n (name, id, series_name, series_facility)
ORDER BY n.name
ON CONFLICT (base_url, facility, name) DO UPDATE
SET id = excluded.id, series_name = excluded.series_name, series_facility = excluded.series_facility,
    found_at = excluded.found_at;

-- drop --
DELETE FROM timeseries_series WHERE base_url = $1 AND facility = $2 AND name = ANY ($3::text[]);

-- drop_old --
DELETE FROM timeseries_series WHERE found_at < ledger_now() - $1::interval;
