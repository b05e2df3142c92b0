-- All pauses that hold a task.

-- task_pause --
-- Tasks, and what is paused of which each is a part: `paused_by` is the first of it, or null, which is all that planning asks;
-- `pauses` is all of it. Its other columns spare a second look at the task.
CREATE OR REPLACE VIEW task_pause AS
SELECT t.id, t.model_id, t.lane, t.state, t.not_before, t.request_id, must_be_kept(t.starts, t.attempts, t.stored_in) AS is_kept,
       m.project, m.state AS model_state,
       CASE WHEN m.paused THEN 'its model'
            WHEN r.state = 'paused' THEN 'request ' || r.id
            WHEN is_backfill(t.lane, t.request_id)
                 AND EXISTS (SELECT FROM runtime_limit WHERE name = 'backfill_paused') THEN 'backfill' END AS paused_by,
       ARRAY(SELECT CASE WHEN p.model = '' THEN 'its project' ELSE 'its model' END FROM pause p
             WHERE m.paused AND p.project = m.project AND p.model IN ('', m.name) ORDER BY p.model = '')
           || CASE WHEN r.state = 'paused' THEN ARRAY['request ' || r.id] ELSE '{}' END
           || ARRAY(SELECT 'backfill'::text FROM runtime_limit
                    WHERE name = 'backfill_paused' AND is_backfill(t.lane, t.request_id)) AS pauses
FROM task t JOIN model m ON m.id = t.model_id LEFT JOIN request r ON r.id = t.request_id;
