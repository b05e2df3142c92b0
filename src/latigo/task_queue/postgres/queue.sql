-- The queue in the ledger's database.

-- send --
-- A task that is sent again replaces what is left of its last message, whichever receiver has it: a claim decides who works on it.
-- Projects and lanes take turns: the first task of one that has none waiting has the turn of what is taken next.
INSERT INTO queued_task (task_id, body, share, sent_at, project, lane, turn)
SELECT s.task_id, s.body, s.share, ledger_now(), s.project, s.lane,
       greatest(l.turn + 1, n.turn, 0) + row_number() OVER (PARTITION BY s.project, s.lane ORDER BY s.place) - 1
FROM unnest($1::bigint[], $2::bytea[], $3::integer[], $4::text[], $5::text[]) WITH ORDINALITY
     AS s (task_id, body, share, project, lane, place)
LEFT JOIN (SELECT project, lane, max(turn) AS turn FROM queued_task WHERE taken_by IS NULL GROUP BY project, lane) l
    USING (project, lane)
LEFT JOIN (SELECT lane = 'live' AS is_live, min(turn) AS turn FROM queued_task WHERE taken_by IS NULL GROUP BY lane = 'live') n
    ON n.is_live = (s.lane = 'live')
ON CONFLICT (task_id) DO UPDATE
SET body = excluded.body, share = excluded.share, sent_at = excluded.sent_at, project = excluded.project, lane = excluded.lane,
    turn = excluded.turn, taken_by = NULL;

-- wake --
SELECT pg_notify('latigo_tasks', '');

-- take --
-- For a receiver ($1), at most $2 that are live and $3 of all other lanes, by their turns. Those of a share ($4 of $5) are its own;
-- others it takes once they have waited ($6), so that a model stays with the executor that had it, and no task waits for an executor
-- that is busy. Those of a model of which another receiver has one wait until it has none, as long as that shows itself (seen within
-- $7): they are predicted one after the other.
WITH free AS (
    SELECT o.task_id
    FROM (VALUES (true, $2::bigint), (false, $3::bigint)) AS kind (is_live, room),
         LATERAL (SELECT t.task_id FROM queued_task t
                  WHERE t.taken_by IS NULL AND (t.lane = 'live') = kind.is_live
                    AND (t.share % $5 = $4 OR t.sent_at < ledger_now() - $6::interval)
                    AND NOT EXISTS (SELECT FROM queued_task h JOIN queue_receiver r ON r.id = h.taken_by
                                    WHERE h.share = t.share AND h.taken_by <> $1 AND r.seen_at > ledger_now() - $7::interval)
                  ORDER BY t.turn, t.task_id LIMIT kind.room FOR UPDATE SKIP LOCKED) o
)
UPDATE queued_task q SET taken_by = $1 FROM free WHERE q.task_id = free.task_id
RETURNING q.task_id, q.body, q.turn, q.lane = 'live' AS is_live;

-- leave --
-- To others: what a receiver ($1) has, but for what it knows to have ($2), and what another one has that is not there any more. Turns
-- have gone on or begun anew since it was taken: it comes right before what waits of its project and lane, or, where nothing
-- does, as what is sent now. With its old turn it would wait behind all others, or give its turn to what is sent next.
WITH free AS (
    SELECT t.task_id, t.taken_by, t.project, t.lane,
           row_number() OVER (PARTITION BY t.project, t.lane ORDER BY t.turn, t.task_id) - 1 AS place,
           count(*) OVER (PARTITION BY t.project, t.lane) AS number
    FROM queued_task t
    WHERE CASE WHEN t.taken_by = $1 THEN t.task_id <> ALL ($2::bigint[])
               ELSE t.taken_by IS NOT NULL AND NOT EXISTS (SELECT FROM queue_receiver r WHERE r.id = t.taken_by) END
)
UPDATE queued_task q
SET taken_by = NULL, turn = f.place + coalesce(
    (SELECT min(w.turn) - f.number FROM queued_task w WHERE w.taken_by IS NULL AND w.project = f.project AND w.lane = f.lane),
    (SELECT min(w.turn) FROM queued_task w WHERE w.taken_by IS NULL AND (w.lane = 'live') = (f.lane = 'live')),
    0)
FROM free f WHERE q.task_id = f.task_id AND q.taken_by = f.taken_by
RETURNING f.taken_by;

-- delete_done --
DELETE FROM queued_task WHERE task_id = ANY ($1::bigint[]) AND taken_by = $2;

-- register --
INSERT INTO queue_receiver (id, seen_at, takes) VALUES ($1, ledger_now(), $2)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, takes = excluded.takes;

-- forget_receivers --
-- Those that have not been seen for a while ($1).
DELETE FROM queue_receiver WHERE seen_at < ledger_now() - $1::interval;

-- receivers --
-- Those that share the tasks. The share of one that takes none would wait for it in vain.
SELECT id FROM queue_receiver WHERE takes ORDER BY id;

-- deregister --
DELETE FROM queue_receiver WHERE id = $1;

-- refuse --
-- A message that is no task, or in an envelope that is too new; the scheduler publishes the task again in one that all read.
INSERT INTO queue_refused (channel, partition, task_id, reason, detail, at) VALUES ($1, '', $2, $3, $4, ledger_now())
ON CONFLICT (channel, task_id) WHERE sequence IS NULL
DO UPDATE SET reason = excluded.reason, detail = excluded.detail, at = excluded.at;
