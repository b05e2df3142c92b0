-- Revisions that models were predicted in, models that vanish, models that are expected, and lists of the past.

-- model_revisions --
ALTER TABLE model
    ADD COLUMN usable_revision text,       -- newest one whose metadata could be used; null: see spec
    ADD COLUMN missing_since timestamptz;  -- while its state is gone; null: for long

-- project_outdated --
-- The model server answers with an older revision than was accepted before.
ALTER TABLE project
    ADD COLUMN outdated_since timestamptz,
    ADD COLUMN outdated_revision text NOT NULL DEFAULT '';

-- expected_model --
-- Models that the model server expects and has not built.
CREATE TABLE expected_model (
    project         text NOT NULL,
    name            text NOT NULL,
    since           timestamptz NOT NULL,
    PRIMARY KEY (project, name)
);

-- known_state --
-- The state of a model as people know it: one that is gone is missing for a day, then retired.
CREATE FUNCTION known_state(state text, paused boolean, missing_since timestamptz) RETURNS text
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$
    SELECT CASE WHEN paused THEN 'paused'
                WHEN state <> 'gone' THEN state
                WHEN missing_since > ledger_now() - interval '1 day' THEN 'missing'
                ELSE 'retired' END
$$;

-- v_models --
CREATE OR REPLACE VIEW v_models AS
SELECT project, name AS model, revision, epoch, known_state(state, paused, missing_since) AS state, since, slot FROM model;
