-- What the ledger knows of models in a range of time, [$1, $2): stretches leave as the octets of multiranges, see grid_cells.py.

-- models --
-- What is desired of each model, and where it is silent, up to what is due now. Models that nothing is predicted of any
-- more are left out.
WITH clock AS MATERIALIZED (SELECT ledger_now() AS at),
edge AS (
    SELECT m.id, m.project, m.name, m.paused AND m.state = 'active' AS paused, m.state = 'unusable' AS unusable, m.since, m.slot,
           c.silent_since, (date_part('epoch', c.covered_end) * 1000000)::bigint AS covered_end,
           CASE WHEN c.hold_until > clock.at THEN c.held_for ELSE '' END AS held_for, clock.at,
           CASE WHEN m.state = 'active' THEN date_bin(m.slot, clock.at - m.delay, 'epoch') ELSE '-infinity' END AS due
    FROM model m JOIN coverage c ON c.model_id = m.id CROSS JOIN clock
    WHERE m.state IN ('active', 'unusable') AND ($3::text IS NULL OR (m.project = $3 AND m.name = $4::text))
)
SELECT id, project, name, paused, unusable, silent_since IS NOT NULL AS silent, covered_end, held_for,
       CASE WHEN since < due THEN multirange_send(tstzmultirange(tstzrange(since, due) * tstzrange($1, $2)))
            ELSE multirange_send('{}'::tstzmultirange) END AS desired,
       CASE WHEN silent_since < due - slot
            THEN multirange_send(tstzmultirange(tstzrange(silent_since, due - slot) * tstzrange($1, $2))) END AS silence
FROM edge ORDER BY project, name;

-- changed --
-- Models of which a task has been settled after $1: their coverage may be another one.
SELECT DISTINCT model_id FROM task_history WHERE settled_at > $1;

-- covered --
-- Of the models $3, or of all of them.
SELECT model_id, multirange_send(covered * tstzmultirange(tstzrange($1, $2))) AS covered,
       CASE WHEN expired && tstzrange($1, $2) THEN multirange_send(expired * tstzmultirange(tstzrange($1, $2))) END AS expired
FROM coverage WHERE $3::bigint[] IS NULL OR model_id = ANY ($3);

-- lacking --
-- What is stored of models, and lacked by a required sink. The outer condition spares the view where there is nothing.
SELECT k.model_id, multirange_send((l.lacks * (SELECT c.covered FROM coverage c WHERE c.model_id = k.model_id))
                                   * tstzmultirange(tstzrange($1, $2))) AS slots, k.sink
FROM sink_model k JOIN sink_lacks l ON l.sink = k.sink AND l.model_id = k.model_id
WHERE NOT isempty(k.lacks) AND l.lacks && tstzrange($1, $2) AND ($3::bigint IS NULL OR k.model_id = $3);

-- exceptions --
SELECT model_id, state, reason, tags, multirange_send(slots * tstzmultirange(tstzrange($1, $2))) AS slots
FROM slot_exception WHERE slots && tstzrange($1, $2) AND ($3::bigint IS NULL OR model_id = $3) ORDER BY upper(slots);

-- parked --
-- A model that is parked as a whole is so where something is due of it and not covered: what it has, it keeps.
SELECT p.model_id, p.reason, p.tags, p.since, multirange_send(tstzmultirange(tstzrange($1, $2)) * CASE
    WHEN lower_inf(p.windows) OR upper_inf(p.windows) THEN (p.windows - c.covered)
        * tstzmultirange(tstzrange(m.since, GREATEST(m.since, date_bin(m.slot, ledger_now() - m.delay, 'epoch'))))
    ELSE p.windows END) AS slots
FROM parked p JOIN model m ON m.id = p.model_id JOIN coverage c ON c.model_id = p.model_id
WHERE p.windows && tstzrange($1, $2) AND ($3::bigint IS NULL OR p.model_id = $3) ORDER BY p.since;

-- out --
-- Tasks that are out, and those that wait for another attempt, which are not.
SELECT model_id, state = 'waiting' AS waits, detail, multirange_send(tstzmultirange(span * tstzrange($1, $2))) AS slots
FROM task WHERE span && tstzrange($1, $2) AND ($3::bigint IS NULL OR model_id = $3);

-- circuits --
SELECT downstream, opened_at FROM circuit ORDER BY opened_at;

-- workers --
SELECT ledger_now() AS at, EXISTS (SELECT FROM planner WHERE lease_until > ledger_now()) AS planner,
       EXISTS (SELECT FROM executor WHERE seen_at > ledger_now() - interval '1 minute') AS executors;

-- usual_slot --
-- The commonest length of a slot, and how many models a grid has.
SELECT mode() WITHIN GROUP (ORDER BY slot) AS slot, count(*) AS models FROM model WHERE state IN ('active', 'unusable');

-- settled --
-- Windows of a model in a range that left predictions, in the order in which they were settled; the newest $5 of them.
SELECT * FROM (
    SELECT lower(h.span) AS start, upper(h.span) AS "end", h.revision, h.settled_at, upper(h.span) + m.delay AS due_at
    FROM task_history h JOIN model m ON m.id = h.model_id
    WHERE m.project = $1 AND m.name = $2 AND h.span && tstzrange($3, $4) AND h.settled_at >= $3
      AND h.covered > '0' AND h.outcome <> 'copied'
    ORDER BY h.settled_at DESC LIMIT $5
) newest ORDER BY settled_at;
