-- Processes that cannot reach the task queue.

-- report --
-- $1 cannot reach the queue in the role $2; since is the first report of this outage.
INSERT INTO queue_outage AS q (process, role, reason, since, seen_at)
VALUES ($1, $2, $3, ledger_now(), ledger_now())
ON CONFLICT (process, role) DO UPDATE SET reason = excluded.reason, seen_at = excluded.seen_at;

-- clear --
-- $1 reaches the queue in the roles $2, or has ended. What ended processes left over a day ago goes as well.
DELETE FROM queue_outage
WHERE (process = $1 AND role = ANY ($2::text[])) OR seen_at < ledger_now() - interval '1 day';
