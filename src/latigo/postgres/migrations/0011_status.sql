-- What a status names: sensors without readings, and a task queue that processes cannot reach.

-- slot_exception_tags --
-- The tags that the reason is about, the first 100 of them.
ALTER TABLE slot_exception ADD COLUMN tags text[] NOT NULL DEFAULT '{}';

-- queue_outage --
-- Processes that cannot reach the task queue: a row is renewed while that lasts, and deleted when the queue answers.
CREATE TABLE queue_outage (
    process         text NOT NULL,
    role            text NOT NULL CHECK (role IN ('scheduler', 'executor')),
    reason          text NOT NULL,
    since           timestamptz NOT NULL,
    seen_at         timestamptz NOT NULL,
    PRIMARY KEY (process, role)
);
