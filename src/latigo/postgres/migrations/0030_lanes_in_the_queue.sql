-- Lanes in the ledger's own queue: see docs/decisions/0038.

-- queued_task --
-- What older programs send counts as live: it waits behind nothing, as before.
ALTER TABLE queued_task
    ADD COLUMN project  text NOT NULL DEFAULT '',
    ADD COLUMN lane     text NOT NULL DEFAULT 'live',
    -- those of a project and lane follow each other, and others have the same ones
    ADD COLUMN turn     bigint NOT NULL DEFAULT 0;

-- queued_task_turns --
CREATE INDEX queued_task_turns ON queued_task ((lane = 'live'), turn, task_id) WHERE taken_by IS NULL;

-- queued_task_waiting --
DROP INDEX queued_task_waiting;
