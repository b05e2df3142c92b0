-- The task queue in the ledger's own database.

-- receivers --
SELECT r.id AS receiver, r.seen_at, count(q.task_id) AS taken
FROM queue_receiver r LEFT JOIN queued_task q ON q.taken_by = r.id GROUP BY r.id, r.seen_at ORDER BY r.id;

-- queued --
SELECT count(*) AS queued, min(sent_at) AS oldest FROM queued_task WHERE taken_by IS NULL;
