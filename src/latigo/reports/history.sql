-- How the service did.

-- history --
-- By stretches of $1 that begin from $2 on and before $3.
SELECT date_bin($1::interval, period, 'epoch') AS at,
       avg(fresh::float8 / nullif(fresh + stale, 0)) AS fresh, max(live_oldest_s) AS live_oldest, avg(backlog) AS backlog,
       avg(rate) AS rate
FROM service_history WHERE period >= $2 AND period < $3 GROUP BY 1 ORDER BY 1;
