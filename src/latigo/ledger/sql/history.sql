-- How the service did.

-- keep_sample --
-- Of the five minutes that it is now; the last one of several counts. What is older than 32 days goes.
WITH old AS (DELETE FROM service_history WHERE period < ledger_now() - interval '32 days')
INSERT INTO service_history (period, fresh, stale, live_oldest_s, backlog, rate)
VALUES (date_bin('5 minutes', ledger_now(), 'epoch'), $1, $2, $3, $4, $5)
ON CONFLICT (period) DO UPDATE
SET fresh = excluded.fresh, stale = excluded.stale, live_oldest_s = excluded.live_oldest_s, backlog = excluded.backlog,
    rate = excluded.rate;
