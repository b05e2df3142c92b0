-- What people and Latigo did.

-- actions --
-- The newest first: of a person ($1), of a kind ($2); null matches all. $3 at most after $4 others. Very old ones are not
-- counted: total is at most 100 000. The reason of failures is their cause, and not why something was done about them.
SELECT r.id, r.at, r.who, r.kind,
       coalesce(nullif(r.why, ''), r.selector ->> 'why', r.selector ->> 'note',
                CASE WHEN r.kind NOT IN ('retry', 'failures_dismiss', 'failures_undo_dismissal') THEN r.selector ->> 'reason' END, '')
           AS reason, r.selector, r.result, r.state, count(*) OVER () AS total
FROM (SELECT * FROM request WHERE ($1::text IS NULL OR who = $1) AND ($2::text IS NULL OR kind = $2)
      ORDER BY id DESC LIMIT 100000) r
ORDER BY r.id DESC LIMIT nullif($3::bigint, 0) OFFSET $4;

-- recent --
-- What has happened lately, for people; the newest first, $1 at most.
SELECT * FROM (
    (SELECT at, 'action' AS kind, kind || CASE WHEN result <> '' THEN ': ' || result ELSE '' END AS text, who,
            coalesce(selector ->> 'project', '') AS project
     FROM request ORDER BY id DESC LIMIT $1)
    UNION ALL
    (SELECT ended_at, 'request', 'request ' || id || ' (' || kind || ') is ' || state, who, '' FROM request
     WHERE ended_at IS NOT NULL AND state IN ('done', 'cancelled') ORDER BY ended_at DESC LIMIT $1)
    UNION ALL
    SELECT opened_at, 'circuit', downstream || ' is not used for now: ' || reason, '',
           CASE WHEN downstream LIKE 'gordo/%' THEN substr(downstream, 7) ELSE '' END FROM circuit
    UNION ALL
    (SELECT started_at, 'executor', id || ' joined', '', '' FROM executor ORDER BY started_at DESC LIMIT $1)
    UNION ALL
    (SELECT seen_at, 'executor', id || ' left', '', '' FROM executor
     WHERE seen_at < ledger_now() - interval '1 minute' ORDER BY seen_at DESC LIMIT $1)
    UNION ALL
    SELECT doubted_since, 'list', 'the list of ' || name || ' lacks too many models, and is quarantined', '', name
    FROM project WHERE doubted_since IS NOT NULL
    UNION ALL
    SELECT to_timestamp(revision::numeric / 1000), 'revision', name || ' has revision ' || revision, '', name
    FROM project WHERE revision ~ '^[0-9]{13}$'
) happened
ORDER BY at DESC LIMIT $1;
