-- Tasks on their way from scheduler to executors, where the ledger's own database is the queue.

-- queued_task --
-- Not logged: after a crash of the server it is empty, and tasks that are published without a message are published again.
CREATE UNLOGGED TABLE queued_task (
    task_id   bigint PRIMARY KEY,
    body      bytea NOT NULL,
    -- hash of the model, which decides who takes it first
    share     integer NOT NULL,
    sent_at   timestamptz NOT NULL,
    -- the receiver that has it; null: it waits
    taken_by  text
);

-- queued_task_waiting --
CREATE INDEX queued_task_waiting ON queued_task (task_id) WHERE taken_by IS NULL;

-- queue_receiver --
-- Executors that receive tasks. What others have taken is delivered again.
CREATE TABLE queue_receiver (
    id       text PRIMARY KEY,
    seen_at  timestamptz NOT NULL
) WITH (fillfactor = 50);
