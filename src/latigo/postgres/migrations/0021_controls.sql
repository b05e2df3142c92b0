-- What people change at run time: limits, drained executors, dismissed failures. See docs/operations.md.

-- runtime_limit --
-- Limits that hold instead of what the settings say: ``concurrency``, ``backfill_share``, ``outstanding``. While there is a
-- row ``backfill_paused``, nothing but live windows is planned. Other names are of newer programs.
CREATE TABLE runtime_limit (
    name            text PRIMARY KEY,
    value           float8 NOT NULL,
    who             text NOT NULL,
    at              timestamptz NOT NULL,
    reason          text NOT NULL
);

-- executor_drained --
-- A drained executor starts no task. With drain_stops, its process ends when it has finished its tasks.
ALTER TABLE executor
    ADD COLUMN drained_at timestamptz,
    ADD COLUMN drained_by text NOT NULL DEFAULT '',
    ADD COLUMN drain_reason text NOT NULL DEFAULT '',
    ADD COLUMN drain_stops boolean NOT NULL DEFAULT false;

-- dismissal --
-- Failures that are no alarm for as long as the model has this revision.
CREATE TABLE dismissal (
    model_id        bigint NOT NULL REFERENCES model ON DELETE CASCADE,
    revision        text NOT NULL,
    reason          text NOT NULL,
    who             text NOT NULL,
    at              timestamptz NOT NULL,
    note            text NOT NULL,
    PRIMARY KEY (model_id, revision, reason)
);

-- coverage_partial --
-- What was covered in slots of another length and fills no whole slot of the present one: it is covered, and predicted
-- again with the rest of its slot.
ALTER TABLE coverage ADD COLUMN partial tstzmultirange NOT NULL DEFAULT '{}';

-- v_coverage --
CREATE OR REPLACE VIEW v_coverage AS
SELECT m.project, m.name AS model, c.covered + c.partial AS covered
FROM model m JOIN coverage c ON c.model_id = m.id;

-- is_dismissed --
CREATE FUNCTION is_dismissed(model_id bigint, revision text, reason text) RETURNS boolean LANGUAGE sql STABLE
AS $$ SELECT EXISTS (SELECT FROM dismissal d WHERE d.model_id = $1 AND d.revision = $2 AND d.reason = $3) $$;

-- whole_slots --
-- The part of stretches of time that fills whole slots; an end that is open stays open.
CREATE FUNCTION whole_slots(stretches tstzmultirange, slot interval) RETURNS tstzmultirange
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(range_agg(tstzrange(low, high)), '{}')
    FROM (SELECT date_bin(slot, lower(r) - interval '1 microsecond', 'epoch') + slot AS low,
                 date_bin(slot, upper(r), 'epoch') AS high
          FROM unnest(stretches) AS r) whole
    WHERE coalesce(low < high, true)
$$;
