-- Settled windows of one model.

-- receipts_of_model --
-- The newest first, of one outcome ($3; null: any); $4 at most after $5 others. Tags are those that the model had in that
-- epoch. total counts the first ten thousand.
WITH chosen AS MATERIALIZED (
    SELECT h.* FROM task_history h JOIN model o ON o.id = h.model_id
    WHERE o.project = $1 AND o.name = $2 AND ($3::text IS NULL OR h.outcome = $3)
    ORDER BY h.settled_at DESC, h.id DESC LIMIT 10000
)
SELECT h.id AS task, h.lane, h.revision, h.epoch, lower(h.span) AS start, upper(h.span) AS "end", h.outcome, h.reason, h.detail,
       h.attempts, h.starts, h.rows, h.covered, h.claimed_by AS worker, h.planned_at, h.claimed_at, h.settled_at, h.receipt,
       coalesce((SELECT r.tags FROM replaced_tags r WHERE r.model_id = h.model_id AND r.epoch >= h.epoch
                 ORDER BY r.epoch LIMIT 1), tags_of_spec(m.spec)) AS tags,
       (SELECT count(*) FROM chosen) AS total
FROM chosen h JOIN model m ON m.id = h.model_id
ORDER BY h.settled_at DESC, h.id DESC LIMIT nullif($4::bigint, 0) OFFSET $5;

-- measured_lately --
-- Receipts of the newest windows in the last five minutes before $1, five hundred at most.
SELECT receipt, claimed_at, settled_at FROM task_history
WHERE settled_at > $1::timestamptz - interval '5 minutes' AND receipt <> '' ORDER BY settled_at DESC LIMIT 500;
