-- What predictions cost in calls of the model server.

-- calls --
-- The newest $2 calls in the day before $1, by model. A receipt begins with its version, the claim, read, frame and predict:
-- numbers of seven bits an octet, the last octet of each below 128. A call is in a row if it ended less
-- than a second and twice its own time after the one before it of the same model, which has left the model in memory. Then,
-- without a model, all of them.
WITH newest AS MATERIALIZED (
    SELECT model_id, lane, settled_at, receipt FROM task_history
    WHERE settled_at > $1::timestamptz - interval '1 day' AND outcome = 'stored' AND rows > 0 AND receipt <> ''
    ORDER BY settled_at DESC LIMIT $2
),
read AS MATERIALIZED (
    SELECT model_id, lane, settled_at, decode(rpad(substring(encode(substring(receipt FROM 2 FOR 20), 'hex')
               FROM '^(?:(?:[89a-f].)*[0-7].){3}((?:[89a-f].)*[0-7].)'), 10, '0'), 'hex') AS predict
    FROM newest WHERE get_byte(receipt, 0) IN (1, 2)
),
calls AS MATERIALIZED (
    SELECT model_id, lane = 'live' AS live, settled_at, ms,
           coalesce(settled_at - lag(settled_at) OVER (PARTITION BY model_id ORDER BY settled_at)
                    < interval '1 second' + 2 * ms * interval '1 millisecond', false) AS in_a_row
    FROM read CROSS JOIN LATERAL (
        SELECT (get_byte(predict, 0) & 127) + ((get_byte(predict, 1) & 127) << 7) + ((get_byte(predict, 2) & 127) << 14)
               + ((get_byte(predict, 3) & 127) << 21) AS ms
    ) m
    WHERE ms > 0
)
SELECT m.project, m.name AS model, coalesce((m.spec ->> 'accepts_nan')::boolean, false) AS keras, m.slot, c.*,
       NULL::timestamptz AS since, NULL::float8 AS last_hour
FROM (
    SELECT model_id, count(*) AS calls, count(*) FILTER (WHERE live AND NOT in_a_row) AS live_calls,
           coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE live AND NOT in_a_row), 0) AS live_ms,
           coalesce(percentile_cont(0.25) WITHIN GROUP (ORDER BY ms) FILTER (WHERE live AND NOT in_a_row), 0) AS fast_ms,
           count(*) FILTER (WHERE in_a_row) AS row_calls,
           coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE in_a_row), 0) AS row_ms,
           count(*) FILTER (WHERE NOT live) AS backfill_calls,
           coalesce(avg(ms) FILTER (WHERE NOT live), 0)::float8 AS backfill_ms
    FROM calls GROUP BY model_id
) c JOIN model m ON m.id = c.model_id
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, count(*), NULL, NULL, NULL, NULL, NULL, NULL, NULL, min(settled_at),
       coalesce(sum(ms) FILTER (WHERE settled_at > $1::timestamptz - interval '1 hour'), 0)::float8
           / 1000 / greatest(extract(epoch FROM least($1 - min(settled_at), interval '1 hour')), 1)::float8
FROM calls;

-- groups --
-- Models that are predicted, by what their cost depends on.
SELECT project, coalesce((spec ->> 'accepts_nan')::boolean, false) AS keras, slot, count(*) AS models
FROM model WHERE state = 'active' AND NOT paused
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- backlog --
-- What could be planned now or is held, as in `plan`, without repairs and what requests want besides.
SELECT coalesce(sum(windows), 0)::bigint AS windows, coalesce(sum(calls), 0)::float8 AS calls,
       coalesce(sum(seconds), 0)::float8 / 86400 AS days
FROM (SELECT fold, holes FROM model_holes WHERE lacks AND NOT isempty(holes) OFFSET 0) h
CROSS JOIN LATERAL (
    SELECT count(*) AS windows, sum(ceil(date_part('epoch', upper(r) - lower(r)) / date_part('epoch', h.fold))) AS calls,
           sum(date_part('epoch', upper(r) - lower(r))) AS seconds
    FROM unnest(h.holes) AS r
) w;
