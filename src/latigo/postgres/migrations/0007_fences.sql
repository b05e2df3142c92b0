-- Which claim wrote a prediction, so that one that was overtaken replaces nothing: see docs/decisions/0018.

-- prediction_fence --
-- Null in rows that a program wrote which did not know these columns; such a row is the oldest.
ALTER TABLE prediction ADD COLUMN incarnation bigint, ADD COLUMN task_id bigint,
                       ADD COLUMN epoch integer, ADD COLUMN claim integer;

-- fence_older_program --
-- A program that does not know these columns would replace the values of a row and keep the fence of another writer. It
-- may replace such a row only while a claim is held there that is not older than the row, and then counts as that claim.
CREATE FUNCTION fence_older_program() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    standing prediction%ROWTYPE;
BEGIN
    SELECT * INTO standing FROM prediction p WHERE p.series_id = NEW.series_id AND p.time = NEW.time FOR UPDATE;
    IF standing.incarnation IS NULL THEN
        RETURN NEW;
    END IF;
    UPDATE prediction p
    SET columns_id = NEW.columns_id, values = NEW.values, incarnation = held.incarnation, epoch = held.epoch,
        task_id = held.task_id, claim = held.claim
    FROM (SELECT i.incarnation, t.epoch, t.id AS task_id, t.claim
          FROM prediction_series s
          JOIN model m ON m.project = s.project AND m.name = s.model
          JOIN task t ON t.model_id = m.id AND t.epoch = m.epoch AND t.state = 'claimed' AND t.span @> NEW.time
          CROSS JOIN ledger_identity i
          WHERE s.id = NEW.series_id) held
    WHERE p.series_id = NEW.series_id AND p.time = NEW.time
      AND (held.incarnation, held.epoch, held.task_id, held.claim)
          >= (standing.incarnation, standing.epoch, standing.task_id, standing.claim);
    RETURN NULL;
END
$$;

-- prediction_of_older_program --
CREATE TRIGGER prediction_of_older_program BEFORE INSERT ON prediction FOR EACH ROW
WHEN (NEW.incarnation IS NULL) EXECUTE FUNCTION fence_older_program();
