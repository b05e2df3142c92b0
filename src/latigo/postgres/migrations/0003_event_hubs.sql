-- Who reads which partition of the event hub, how far they are, and what they could not read.
-- A channel is ``eventhub/<fully qualified namespace>/<hub>``; a place is ``<channel>#<partition>``.

-- queue_ownership --
CREATE TABLE queue_ownership (
    channel         text NOT NULL,
    consumer_group  text NOT NULL,
    partition       text NOT NULL,
    owner_id        text NOT NULL,  -- empty: released
    etag            bigint NOT NULL DEFAULT 1,
    modified_at     timestamptz NOT NULL,
    PRIMARY KEY (channel, consumer_group, partition)
) WITH (fillfactor = 50);

-- queue_checkpoint --
-- Everything up to and including this event is done with.
CREATE TABLE queue_checkpoint (
    channel         text NOT NULL,
    consumer_group  text NOT NULL,
    partition       text NOT NULL,
    sequence        bigint NOT NULL,
    hub_offset      text NOT NULL,  -- opaque: only the hub understands it
    modified_at     timestamptz NOT NULL,
    PRIMARY KEY (channel, consumer_group, partition)
) WITH (fillfactor = 50);

-- queue_refused --
-- Messages that are not tasks or not for us to read, and tasks too large to be sent (these have no sequence).
CREATE TABLE queue_refused (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel         text NOT NULL,
    partition       text NOT NULL,
    sequence        bigint,
    task_id         bigint,
    reason          text NOT NULL CHECK (reason IN ('unreadable', 'too_new', 'too_large')),
    detail          text NOT NULL,
    at              timestamptz NOT NULL
);

-- queue_refused_received --
CREATE UNIQUE INDEX queue_refused_received ON queue_refused (channel, partition, sequence) WHERE sequence IS NOT NULL;

-- queue_refused_unsent --
CREATE UNIQUE INDEX queue_refused_unsent ON queue_refused (channel, task_id) WHERE sequence IS NULL;

-- queue_partition --
-- Where the hub's partitions begin and end, as the scheduler read it last.
CREATE TABLE queue_partition (
    channel         text NOT NULL,
    consumer_group  text NOT NULL,
    partition       text NOT NULL,
    begin_sequence  bigint NOT NULL,
    last_sequence   bigint NOT NULL,
    read_at         timestamptz NOT NULL,
    -- the checkpoint was ahead of the end: the hub is another one than before
    hub_recreated   boolean NOT NULL DEFAULT false,
    -- whatever was in the partition at mark_at has a sequence number up to mark_sequence
    mark_sequence   bigint,
    mark_at         timestamptz,
    -- whatever was in the partition at this time is done with
    drained_to      timestamptz,
    PRIMARY KEY (channel, consumer_group, partition)
) WITH (fillfactor = 50);

-- v_queue --
-- For people and for scaling: events that no executor is done with, by partition.
CREATE VIEW v_queue AS
SELECT p.channel, p.consumer_group, p.partition, p.last_sequence, c.sequence AS checkpoint,
       greatest(p.last_sequence - greatest(c.sequence, p.begin_sequence - 1), 0) AS lag,
       p.read_at, p.drained_to, p.hub_recreated
FROM queue_partition p
LEFT JOIN queue_checkpoint c USING (channel, consumer_group, partition);
