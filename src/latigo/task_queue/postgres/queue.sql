-- The queue in the ledger's database.

-- send --
-- A task that is sent again replaces what is left of its last message, whichever receiver has it: a claim decides who works on it.
INSERT INTO queued_task (task_id, body, share, sent_at)
SELECT s.task_id, s.body, s.share, ledger_now() FROM unnest($1::bigint[], $2::bytea[], $3::integer[]) AS s (task_id, body, share)
ON CONFLICT (task_id) DO UPDATE
SET body = excluded.body, share = excluded.share, sent_at = excluded.sent_at, taken_by = NULL;

-- wake --
SELECT pg_notify('latigo_tasks', '');

-- take --
-- The oldest of a receiver ($1), at most $2. Those of a share ($3 of $4) are its own; others it takes once they have waited ($5), so
-- that a model stays with the executor that had it, and no task waits for an executor that is busy. Those of a model of which
-- another receiver has one wait until it has none, as long as that shows itself (seen within $6): they are predicted one after
-- the other.
UPDATE queued_task q SET taken_by = $1
FROM (SELECT o.task_id FROM queued_task o
      WHERE o.taken_by IS NULL AND (o.share % $4 = $3 OR o.sent_at < ledger_now() - $5::interval)
        AND NOT EXISTS (SELECT FROM queued_task h JOIN queue_receiver r ON r.id = h.taken_by
                        WHERE h.share = o.share AND h.taken_by <> $1 AND r.seen_at > ledger_now() - $6::interval)
      ORDER BY o.task_id LIMIT $2 FOR UPDATE SKIP LOCKED) free
WHERE q.task_id = free.task_id
RETURNING q.task_id, q.body;

-- delete_done --
DELETE FROM queued_task WHERE task_id = ANY ($1::bigint[]) AND taken_by = $2;

-- register --
INSERT INTO queue_receiver (id, seen_at) VALUES ($1, ledger_now())
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at;

-- forget_receivers --
-- Those that have not been seen for a while ($1).
DELETE FROM queue_receiver WHERE seen_at < ledger_now() - $1::interval;

-- free_lost --
-- What a receiver has that is not there any more.
UPDATE queued_task q SET taken_by = NULL
WHERE q.taken_by IS NOT NULL AND NOT EXISTS (SELECT FROM queue_receiver r WHERE r.id = q.taken_by)
RETURNING q.task_id;

-- receivers --
SELECT id FROM queue_receiver ORDER BY id;

-- release --
-- What a receiver has, to others.
UPDATE queued_task SET taken_by = NULL WHERE taken_by = $1;

-- deregister --
DELETE FROM queue_receiver WHERE id = $1;

-- refuse --
-- A message that is no task, or in an envelope that is too new; the scheduler publishes the task again in one that all read.
INSERT INTO queue_refused (channel, partition, task_id, reason, detail, at) VALUES ($1, '', $2, $3, $4, ledger_now())
ON CONFLICT (channel, task_id) WHERE sequence IS NULL
DO UPDATE SET reason = excluded.reason, detail = excluded.detail, at = excluded.at;
