-- Several windows of a model's past are out at once, as a run: see docs/decisions/0029.

-- task_one_live --
CREATE UNIQUE INDEX task_one_live ON task (model_id) WHERE lane = 'live' AND state <> 'waiting';

-- task_one_per_lane --
-- Older programs plan one at a time all the same.
DROP INDEX task_one_per_lane;

-- queued_task_held --
CREATE INDEX queued_task_held ON queued_task (share) WHERE taken_by IS NOT NULL;
