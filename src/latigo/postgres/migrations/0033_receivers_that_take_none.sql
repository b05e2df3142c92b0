-- Receivers that take no tasks, because their executors are drained or stop: they keep what they have.

-- queue_receiver --
-- Those of older programs have a share of the tasks as long as they run.
ALTER TABLE queue_receiver ADD COLUMN takes boolean NOT NULL DEFAULT true;
