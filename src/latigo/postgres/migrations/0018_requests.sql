-- Requests for stretches of time: to fill what is missing there, or to replace all of it. See docs/task-lifecycle.md.

-- request_time --
-- A request for time has a state; actions that were done at once have none.
ALTER TABLE request
    ADD COLUMN IF NOT EXISTS why text NOT NULL DEFAULT '',
    ADD COLUMN state text CHECK (state IN ('active', 'paused', 'cancelled', 'done')),
    ADD COLUMN note text NOT NULL DEFAULT '',       -- why it is in this state
    ADD COLUMN low timestamptz,
    ADD COLUMN high timestamptz,
    ADD COLUMN at_most integer CHECK (at_most > 0),        -- tasks that are out
    ADD COLUMN stop_after integer CHECK (stop_after > 0),  -- failed windows, after which it is paused
    ADD COLUMN failures integer NOT NULL DEFAULT 0,        -- windows that failed since it was last resumed
    ADD COLUMN models integer NOT NULL DEFAULT 0,          -- of which it wanted something, when it was made
    ADD COLUMN slots bigint NOT NULL DEFAULT 0,            -- that it wanted then
    ADD COLUMN digest text NOT NULL DEFAULT '',
    ADD COLUMN ended_at timestamptz;

-- request_in_state --
-- Requests are few among actions.
CREATE INDEX request_in_state ON request (state) WHERE state IS NOT NULL;

-- request_model --
-- What a request still wants of each model. A fill wants nothing that is covered. What is parked stays wanted, so that it is
-- predicted when it is no longer parked.
CREATE TABLE request_model (
    request_id      bigint NOT NULL REFERENCES request ON DELETE CASCADE,
    model_id        bigint NOT NULL REFERENCES model ON DELETE CASCADE,
    wanted          tstzmultirange NOT NULL,
    slots           bigint NOT NULL,  -- wanted when the request was made
    -- whether anything is wanted: `wanted` is in no index, so that it changes in place
    open            boolean NOT NULL DEFAULT true,
    PRIMARY KEY (request_id, model_id)
) WITH (fillfactor = 70);

-- request_model_open --
-- The smallest request of a model goes first.
CREATE INDEX request_model_open ON request_model (model_id, slots, request_id) WHERE open;

-- request_open --
CREATE INDEX request_open ON request_model (request_id) WHERE open;

-- task_request --
-- The request that a task was planned for.
ALTER TABLE task ADD COLUMN request_id bigint;

-- request_running --
-- Requests that are planned: they are active, and have not failed too often.
CREATE VIEW request_running AS
SELECT id, kind, at, at_most FROM request
WHERE state = 'active' AND (stop_after IS NULL OR failures < stop_after);

-- model_parked --
-- All that is parked of each model.
CREATE VIEW model_parked AS
SELECT p.model_id, range_agg(w) AS windows FROM parked p CROSS JOIN LATERAL unnest(p.windows) AS w GROUP BY p.model_id;

-- count_slots --
CREATE FUNCTION count_slots(stretches tstzmultirange, slot interval) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT coalesce(date_part('epoch', sum(upper(r) - lower(r))) / date_part('epoch', slot), 0)::bigint FROM unnest(stretches) AS r $$;
