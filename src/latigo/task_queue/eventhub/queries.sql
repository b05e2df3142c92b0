-- $1 is the channel and $2 the consumer group, in every statement that needs both.
-- Ownership is measured by the database's own clock, because the client library measures leases in real time; all other times
-- are the ledger's, to be compared with those of its tasks.

-- list_ownership --
SELECT partition, owner_id, etag, greatest(extract(epoch FROM clock_timestamp() - modified_at), 0)::float8 AS age
FROM queue_ownership
WHERE channel = $1 AND consumer_group = $2;

-- claim_new --
INSERT INTO queue_ownership (channel, consumer_group, partition, owner_id, modified_at)
VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT DO NOTHING
RETURNING etag;

-- claim_known --
UPDATE queue_ownership SET owner_id = $4, etag = etag + 1, modified_at = clock_timestamp()
WHERE channel = $1 AND consumer_group = $2 AND partition = $3 AND etag = $5
RETURNING etag;

-- release --
-- All partitions that an owner still holds.
UPDATE queue_ownership SET owner_id = '', etag = etag + 1, modified_at = clock_timestamp()
WHERE channel = $1 AND consumer_group = $2 AND owner_id = $3;

-- list_checkpoints --
SELECT partition, sequence, hub_offset FROM queue_checkpoint WHERE channel = $1 AND consumer_group = $2;

-- advance_checkpoints --
-- Only forward, and only for partitions that $3 owns: a former owner that is late changes nothing. Should the
-- partition be stolen while this runs, the checkpoint is still true.
INSERT INTO queue_checkpoint AS c (channel, consumer_group, partition, sequence, hub_offset, modified_at)
SELECT $1, $2, new.partition, new.sequence, new.hub_offset, ledger_now()
FROM unnest($4::text[], $5::bigint[], $6::text[]) AS new (partition, sequence, hub_offset)
JOIN queue_ownership o ON (o.channel, o.consumer_group, o.partition, o.owner_id) = ($1, $2, new.partition, $3)
ORDER BY new.partition
ON CONFLICT (channel, consumer_group, partition) DO UPDATE
SET sequence = EXCLUDED.sequence, hub_offset = EXCLUDED.hub_offset, modified_at = EXCLUDED.modified_at
WHERE c.sequence < EXCLUDED.sequence;

-- drop_checkpoints --
DELETE FROM queue_checkpoint WHERE channel = $1 AND consumer_group = $2 RETURNING partition;

-- drop_marks --
-- They count the events of a hub that no longer exists.
UPDATE queue_partition SET mark_sequence = NULL, mark_at = NULL, hub_recreated = false
WHERE channel = $1 AND consumer_group = $2;

-- refuse_received --
-- Returns a row only for a new message. Another content at the same position is of a hub that was created anew.
INSERT INTO queue_refused AS r (channel, partition, sequence, task_id, reason, detail, at)
VALUES ($1, $2, $3, $4, $5, $6, ledger_now())
ON CONFLICT (channel, partition, sequence) WHERE sequence IS NOT NULL DO UPDATE
SET task_id = EXCLUDED.task_id, reason = EXCLUDED.reason, detail = EXCLUDED.detail, at = EXCLUDED.at
WHERE (r.task_id, r.reason, r.detail) IS DISTINCT FROM (EXCLUDED.task_id, EXCLUDED.reason, EXCLUDED.detail)
RETURNING id;

-- refuse_unsent --
INSERT INTO queue_refused (channel, partition, task_id, reason, detail, at)
VALUES ($1, $2, $3, 'too_large', $4, ledger_now())
ON CONFLICT (channel, task_id) WHERE sequence IS NULL DO NOTHING
RETURNING id;

-- read_refused --
SELECT partition, sequence, task_id, reason, detail, at FROM queue_refused
WHERE channel = $1 ORDER BY id DESC LIMIT $2;

-- prune_refused --
-- The newest $2 are kept.
DELETE FROM queue_refused
WHERE id <= (SELECT id FROM queue_refused WHERE channel = $1 ORDER BY id DESC OFFSET $2 LIMIT 1) AND channel = $1;

-- read_marks --
-- The ledger's time comes first: the hub is read after it.
SELECT ledger_now() AS at, p.partition, p.mark_sequence, p.mark_at, p.drained_to
FROM (SELECT) AS one
LEFT JOIN queue_partition p ON p.channel = $1 AND p.consumer_group = $2;

-- write_partitions --
-- An older reading never replaces a newer one: standby schedulers read as well.
INSERT INTO queue_partition AS p (channel, consumer_group, partition, begin_sequence, last_sequence, read_at,
                                  hub_recreated, mark_sequence, mark_at, drained_to)
SELECT $1, $2, new.* FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::boolean[],
                                 $8::bigint[], $9::timestamptz[], $10::timestamptz[]) AS new
ORDER BY 3
ON CONFLICT (channel, consumer_group, partition) DO UPDATE
SET begin_sequence = EXCLUDED.begin_sequence, last_sequence = EXCLUDED.last_sequence, read_at = EXCLUDED.read_at,
    hub_recreated = EXCLUDED.hub_recreated, mark_sequence = EXCLUDED.mark_sequence, mark_at = EXCLUDED.mark_at,
    drained_to = greatest(p.drained_to, EXCLUDED.drained_to)
WHERE p.read_at <= EXCLUDED.read_at;

-- read_partitions --
SELECT p.partition, p.begin_sequence, p.last_sequence, p.read_at, p.hub_recreated, p.drained_to, v.checkpoint, v.lag
FROM queue_partition p JOIN v_queue v USING (channel, consumer_group, partition)
WHERE p.channel = $1 AND p.consumer_group = $2
ORDER BY length(p.partition), p.partition;
