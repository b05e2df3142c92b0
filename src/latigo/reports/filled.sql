-- What windows were predicted from.

-- written_in --
-- Receipts of the windows of a model in a range that left predictions, in the order in which they were settled; the newest $5.
SELECT * FROM (
    SELECT lower(h.span) AS start, upper(h.span) AS "end", h.receipt, h.settled_at,
           coalesce((SELECT r.tags FROM replaced_tags r WHERE r.model_id = h.model_id AND r.epoch >= h.epoch
                     ORDER BY r.epoch LIMIT 1), tags_of_spec(m.spec)) AS tags
    FROM task_history h JOIN model m ON m.id = h.model_id
    WHERE m.project = $1 AND m.name = $2 AND h.span && tstzrange($3, $4) AND h.settled_at >= $3
      AND h.rows > 0 AND h.receipt <> '' AND h.outcome = 'stored'
    ORDER BY h.settled_at DESC LIMIT $5
) newest ORDER BY settled_at;
