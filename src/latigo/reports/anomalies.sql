-- Anomalies of models, from the receipts of their windows.

-- models --
-- Models of projects $1 with names $2, in order: patterns, null matches all.
SELECT m.id, m.project, m.name AS model, m.anomaly, m.slot
FROM model m WHERE m.state = 'active' AND ($1::text[] IS NULL OR m.project LIKE ANY ($1)) AND ($2::text[] IS NULL OR m.name LIKE ANY ($2))
ORDER BY m.project, m.name;

-- receipts --
-- Of models $1 in the time from $2 to $3: where each window is, when it was settled, rows, epoch and length of the receipt in
-- 45 octets, and the receipts themselves in the same order. Tags are counted by place in receipts of epochs after tags_since.
SELECT h.*, tags_of_spec(m.spec) AS tags,
       coalesce((SELECT max(r.epoch) FROM replaced_tags r WHERE r.model_id = m.id), 0) AS tags_since
FROM (
    SELECT model_id,
           string_agg(range_send(span) || timestamptz_send(settled_at) || int4send(rows) || int4send(epoch)
                      || int4send(octet_length(receipt)), ''::bytea) AS heads,
           string_agg(receipt, ''::bytea) AS receipts
    FROM task_history
    WHERE model_id = ANY ($1::bigint[]) AND settled_at >= $2 AND span && tstzrange($2, $3) AND rows > 0 AND receipt <> ''
      AND outcome = 'stored'
    GROUP BY model_id
) h JOIN model m ON m.id = h.model_id;
