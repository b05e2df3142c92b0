-- What names the projects to predict, where that is not the settings; and the descriptions of models for the Metadata API.

-- discovery --
-- Its last accepted list, and what is wrong with newer ones. One row, or none where the settings name the projects.
CREATE TABLE discovery (
    one               boolean PRIMARY KEY DEFAULT true CHECK (one),
    source            text NOT NULL,
    -- null until there was a list
    named             jsonb,
    read_at           timestamptz,
    error             text NOT NULL DEFAULT '',
    alarm             boolean NOT NULL DEFAULT false,
    failing_since     timestamptz,
    -- a list that lacks too many of the known models
    quarantined       jsonb,
    quarantined_since timestamptz
);

-- prediction_metadata --
-- One row for each model, revision and sink that has stored a first window. Columns are needed until it is posted.
CREATE TABLE prediction_metadata (
    model_id        bigint NOT NULL REFERENCES model ON DELETE CASCADE,
    sink            text NOT NULL,
    revision        text NOT NULL,
    columns         jsonb NOT NULL,
    stored_at       timestamptz NOT NULL,
    posted_at       timestamptz,
    attempts        integer NOT NULL DEFAULT 0,
    next_try        timestamptz NOT NULL,
    error           text NOT NULL DEFAULT '',
    PRIMARY KEY (model_id, sink, revision)
);

-- prediction_metadata_next_try --
CREATE INDEX prediction_metadata_next_try ON prediction_metadata (next_try) WHERE posted_at IS NULL;
