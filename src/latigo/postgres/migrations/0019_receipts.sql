-- What executors measure on windows, so that a moment can be explained: see docs/decisions/0022.

-- task_history_receipt --
-- The compact form of `latigo.domain.receipt`; empty where there is none, as in rows of an older program.
ALTER TABLE task_history ADD COLUMN receipt bytea NOT NULL DEFAULT '';

-- replaced_tags --
-- The tags that a model had up to an epoch, where they have changed since: receipts count by tag, in this order. Those of
-- its newest epoch are in its spec.
CREATE TABLE replaced_tags (
    model_id        bigint NOT NULL REFERENCES model ON DELETE CASCADE,
    epoch           integer NOT NULL,
    tags            jsonb NOT NULL,  -- as the spec lists them: some may be there twice
    replaced_at     timestamptz NOT NULL,
    PRIMARY KEY (model_id, epoch)
);

-- tags_of_spec --
CREATE FUNCTION tags_of_spec(spec jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (spec -> 'tag_list') || (spec -> 'target_tag_list') || (spec -> 'filter_tags') $$;

-- keep_replaced_tags --
CREATE FUNCTION keep_replaced_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO replaced_tags (model_id, epoch, tags, replaced_at)
    VALUES (OLD.id, OLD.epoch, tags_of_spec(OLD.spec), ledger_now())
    ON CONFLICT (model_id, epoch) DO NOTHING;
    RETURN NULL;
END
$$;

-- model_tags_replaced --
-- A trigger, because an older program replaces tags as well.
CREATE TRIGGER model_tags_replaced AFTER UPDATE OF spec ON model FOR EACH ROW
WHEN (tags_of_spec(OLD.spec) <> tags_of_spec(NEW.spec) OR (OLD.spec IS NOT NULL AND NEW.spec IS NULL))
EXECUTE FUNCTION keep_replaced_tags();
