-- What a claim that was overtaken may have written to a sink that cannot compare writers: see docs/decisions/0018.

-- task_writers --
-- Claims that began to write to such a sink and are not known to have ended.
ALTER TABLE task ADD COLUMN writers integer[] NOT NULL DEFAULT '{}';

-- repair --
-- Windows to be predicted again, in lane repair, once they are due: the claim may write until then.
CREATE TABLE repair (
    model_id        bigint NOT NULL REFERENCES model ON DELETE CASCADE,
    task_id         bigint NOT NULL,
    claim           integer NOT NULL,
    due_at          timestamptz NOT NULL,
    slots           tstzmultirange NOT NULL,
    PRIMARY KEY (model_id, task_id, claim)
);
