-- ledger_now --
-- The ledger's clock. A virtual world replaces this one function and nothing else.
CREATE FUNCTION ledger_now() RETURNS timestamptz
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$ SELECT clock_timestamp() $$;

-- project --
-- What was believed of each project when its models were last listed.
CREATE TABLE project (
    name            text PRIMARY KEY,
    revision        text NOT NULL DEFAULT '',
    models          integer NOT NULL DEFAULT 0,
    listed_at       timestamptz,
    error           text NOT NULL DEFAULT '',
    -- a list that lost too many models at once is not believed before it has stood for a while
    doubted_since   timestamptz,
    doubted_models  integer NOT NULL DEFAULT 0,
    accept_loss     boolean NOT NULL DEFAULT false
);

-- model --
CREATE TABLE model (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project         text NOT NULL,
    name            text NOT NULL,
    revision        text NOT NULL,
    epoch           integer NOT NULL DEFAULT 1,
    state           text NOT NULL DEFAULT 'active'
                    CHECK (state IN ('active', 'disabled', 'unregistered', 'gone', 'unusable')),
    paused          boolean NOT NULL DEFAULT false,
    since           timestamptz NOT NULL,
    slot            interval NOT NULL,
    delay           interval NOT NULL,
    -- the longest window folded into one task, and the lower limit that too large windows have taught
    fold            interval NOT NULL,
    fold_limit      interval,
    -- null while the model is unusable
    spec            jsonb,
    anomaly         boolean,
    stale_metadata  boolean NOT NULL DEFAULT false,
    first_seen      timestamptz NOT NULL,
    UNIQUE (project, name)
);

-- model_stale_metadata --
CREATE INDEX model_stale_metadata ON model (id) WHERE stale_metadata;

-- coverage --
-- Changes at every settle, so it stands apart from what hardly ever changes.
CREATE TABLE coverage (
    model_id        bigint PRIMARY KEY REFERENCES model ON DELETE CASCADE,
    covered         tstzmultirange NOT NULL DEFAULT '{}',
    expired         tstzmultirange NOT NULL DEFAULT '{}',
    -- data time from which the model has had no readings; only its newest slot is tried meanwhile
    silent_since    timestamptz,
    -- a task was deferred: leave the model alone until then
    hold_until      timestamptz,
    deferrals       integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- slot_exception --
-- Slots that ended as absent, short or provisional. Slots that ended alike share a row. Final: next_look is infinity.
CREATE TABLE slot_exception (
    model_id        bigint NOT NULL REFERENCES model ON DELETE CASCADE,
    state           text NOT NULL CHECK (state IN ('absent', 'short', 'provisional')),
    reason          text NOT NULL,
    looks           smallint NOT NULL,
    next_look       timestamptz NOT NULL,
    slots           tstzmultirange NOT NULL,
    PRIMARY KEY (model_id, next_look, state, looks, reason)
);

-- parked --
CREATE TABLE parked (
    model_id        bigint NOT NULL REFERENCES model ON DELETE CASCADE,
    revision        text NOT NULL,
    reason          text NOT NULL,
    detail          text NOT NULL,
    windows         tstzmultirange NOT NULL,
    since           timestamptz NOT NULL,
    version         text NOT NULL,
    PRIMARY KEY (model_id, revision, reason)
);

-- coverage_storage --
-- A fragmented coverage is read far more often than written: not compressed, it is read faster.
ALTER TABLE coverage ALTER COLUMN covered SET STORAGE EXTERNAL;

-- task --
-- Work that is out: a row goes when it is settled. Kept small, so that every look at it is cheap.
CREATE TABLE task (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id        bigint NOT NULL REFERENCES model ON DELETE CASCADE,
    epoch           integer NOT NULL,
    span            tstzrange NOT NULL,
    lane            text NOT NULL CHECK (lane IN ('live', 'backfill', 'repair', 'manual')),
    state           text NOT NULL CHECK (state IN ('planned', 'published', 'claimed', 'waiting')),
    probe           boolean NOT NULL DEFAULT false,
    trace           text NOT NULL DEFAULT '',
    attempts        integer NOT NULL DEFAULT 0,
    -- starts that have not been settled; more than one and it runs alone in its process
    starts          integer NOT NULL DEFAULT 0,
    -- rises with every claim: a settle under an older one adds nothing
    claim           integer NOT NULL DEFAULT 0,
    claimed_by      text,
    lease_until     timestamptz,
    not_before      timestamptz,
    stored_in       text[] NOT NULL DEFAULT '{}',
    detail          text NOT NULL DEFAULT '',
    -- the queue that has it; an in-process queue has a new name in every process
    channel         text NOT NULL DEFAULT '',
    planned_at      timestamptz NOT NULL,
    claimed_at      timestamptz
) WITH (fillfactor = 70);

-- task_model --
CREATE INDEX task_model ON task (model_id);

-- task_one_per_lane --
-- At most one live and one backfill task of a model are out.
CREATE UNIQUE INDEX task_one_per_lane ON task (model_id, (lane = 'live')) WHERE state <> 'waiting';

-- task_history --
-- Settled tasks, in daily partitions.
CREATE TABLE task_history (
    id              bigint NOT NULL,
    model_id        bigint NOT NULL,
    revision        text NOT NULL,
    epoch           integer NOT NULL,
    span            tstzrange NOT NULL,
    lane            text NOT NULL,
    outcome         text NOT NULL,
    reason          text NOT NULL DEFAULT '',
    detail          text NOT NULL DEFAULT '',
    attempts        integer NOT NULL,
    starts          integer NOT NULL,
    rows            integer NOT NULL DEFAULT 0,
    covered         interval NOT NULL DEFAULT '0',
    claimed_by      text,
    planned_at      timestamptz NOT NULL,
    claimed_at      timestamptz,
    settled_at      timestamptz NOT NULL
) PARTITION BY RANGE (settled_at);

-- task_history_settled --
CREATE INDEX task_history_settled ON task_history (settled_at);

-- task_history_model --
CREATE INDEX task_history_model ON task_history (model_id, settled_at);

-- planner --
-- One scheduler plans at a time. The term rises with every change of hands.
CREATE TABLE planner (
    one             boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder          text NOT NULL DEFAULT '',
    term            bigint NOT NULL DEFAULT 0,
    lease_until     timestamptz NOT NULL DEFAULT '-infinity'
);

-- planner_row --
INSERT INTO planner DEFAULT VALUES;

-- executor --
CREATE TABLE executor (
    id              text PRIMARY KEY,
    version         text NOT NULL,
    envelope_low    integer NOT NULL,
    envelope_high   integer NOT NULL,
    concurrency     integer NOT NULL,
    working_limit   integer NOT NULL DEFAULT 0,
    in_flight       integer NOT NULL DEFAULT 0,
    started_at      timestamptz NOT NULL,
    seen_at         timestamptz NOT NULL
);

-- circuit --
-- Open circuits; a downstream without a row is believed to work.
CREATE TABLE circuit (
    downstream      text PRIMARY KEY,
    reason          text NOT NULL,
    alarm           boolean NOT NULL DEFAULT false,
    opened_at       timestamptz NOT NULL,
    pause           interval NOT NULL,
    probe_at        timestamptz NOT NULL
);

-- roster --
-- Models that were registered or unregistered by hand.
CREATE TABLE roster (
    project         text NOT NULL,
    name            text NOT NULL,
    registered      boolean NOT NULL,
    data            jsonb NOT NULL DEFAULT '{}',
    who             text NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (project, name)
);

-- request --
-- What people asked for: who, when, what.
CREATE TABLE request (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL,
    who             text NOT NULL,
    at              timestamptz NOT NULL,
    selector        jsonb NOT NULL,
    result          text NOT NULL DEFAULT ''
);

-- model_holes --
-- desired - actual for every active model: due time that is neither covered, out, excepted and not due for another look,
-- nor parked. A silent model has only its newest slot.
CREATE VIEW model_holes AS
WITH clock AS MATERIALIZED (SELECT ledger_now() AS at),
busy AS (
    SELECT model_id, range_agg(span) AS spans,
           coalesce(bool_or(lane = 'live') FILTER (WHERE state <> 'waiting'), false) AS live_out,
           coalesce(bool_or(lane <> 'live') FILTER (WHERE state <> 'waiting'), false) AS back_out
    FROM task GROUP BY model_id
),
waiting AS (
    SELECT e.model_id, range_agg(stretch) AS slots
    FROM slot_exception e CROSS JOIN LATERAL unnest(e.slots) AS stretch
    WHERE e.next_look > (SELECT at FROM clock)
    GROUP BY e.model_id
),
stuck AS (
    SELECT p.model_id, range_agg(stretch) AS windows
    FROM parked p CROSS JOIN LATERAL unnest(p.windows) AS stretch
    GROUP BY p.model_id
),
edge AS (
    SELECT m.id, m.slot, least(m.fold, m.fold_limit) AS fold, m.since, clock.at,
           greatest(date_bin(m.slot, clock.at - m.delay, 'epoch'), m.since) AS due
    FROM model m CROSS JOIN clock
    WHERE m.state = 'active' AND NOT m.paused
)
SELECT e.id AS model_id, e.at, e.slot, e.fold, e.due, upper(c.covered) AS covered_end,
       coalesce(c.hold_until > e.at, false) AS held,
       coalesce(b.live_out, false) AS live_out, coalesce(b.back_out, false) AS back_out,
       -- With a much fragmented coverage, all of it costs many times as much to work out as its last days.
       pg_column_size(c.covered) > 2000 AND e.since < e.due - e.fold * 4 AS cut,
       tstzmultirange(tstzrange(CASE WHEN pg_column_size(c.covered) > 2000 THEN greatest(e.since, e.due - e.fold * 4)
                                     ELSE e.since END, e.due)) - c.covered - c.expired
           - coalesce(b.spans, '{}') - coalesce(w.slots, '{}') - coalesce(s.windows, '{}') - e.silent AS recent,
       tstzmultirange(tstzrange(e.since, e.due)) - c.covered - c.expired
           - coalesce(b.spans, '{}') - coalesce(w.slots, '{}') - coalesce(s.windows, '{}') - e.silent AS holes
FROM (
    SELECT edge.*, CASE WHEN c.silent_since < due - slot
                        THEN tstzmultirange(tstzrange(c.silent_since, due - slot)) ELSE '{}' END AS silent
    FROM edge JOIN coverage c ON c.model_id = edge.id
) e
JOIN coverage c ON c.model_id = e.id
LEFT JOIN busy b ON b.model_id = e.id
LEFT JOIN waiting w ON w.model_id = e.id
LEFT JOIN stuck s ON s.model_id = e.id;

-- v_models --
CREATE VIEW v_models AS
SELECT project, name AS model, revision, epoch, CASE WHEN paused THEN 'paused' ELSE state END AS state, since, slot
FROM model;

-- v_coverage --
CREATE VIEW v_coverage AS
SELECT m.project, m.name AS model, c.covered
FROM model m JOIN coverage c ON c.model_id = m.id;

-- v_exceptions --
CREATE VIEW v_exceptions AS
SELECT m.project, m.name AS model, tstzrange(at, at + m.slot) AS slot, e.state, e.reason,
       nullif(e.next_look, 'infinity') AS next_look
FROM slot_exception e
JOIN model m ON m.id = e.model_id
CROSS JOIN LATERAL unnest(e.slots) AS stretch
CROSS JOIN LATERAL generate_series(lower(stretch), upper(stretch) - interval '1 microsecond', m.slot) AS at;

-- v_tasks --
CREATE VIEW v_tasks AS
SELECT t.id, m.project, m.name AS model, t.span AS "window", t.lane, t.state, t.attempts, t.starts
FROM task t JOIN model m ON m.id = t.model_id
UNION ALL
SELECT h.id, m.project, m.name, h.span, h.lane, h.outcome, h.attempts, h.starts
FROM task_history h JOIN model m ON m.id = h.model_id;

-- v_parked --
CREATE VIEW v_parked AS
SELECT m.project, m.name AS model, p.revision, p.reason, p.windows, p.detail, p.since
FROM parked p JOIN model m ON m.id = p.model_id;
