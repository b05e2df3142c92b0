-- An older program that holds a claim counts as its writer from its first write on: see docs/decisions/0018.

-- fence_older_program --
-- As in 0007, but a row that is new, or that has no fence yet, gets the fence of the claim that is held there as well:
-- else a newer program that was overtaken would replace it. Without such a claim it is the oldest, as before.
CREATE OR REPLACE FUNCTION fence_older_program() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    standing prediction%ROWTYPE;
    is_new boolean;
    held record;
BEGIN
    SELECT * INTO standing FROM prediction p WHERE p.series_id = NEW.series_id AND p.time = NEW.time FOR UPDATE;
    is_new := NOT FOUND;
    SELECT i.incarnation, t.epoch, t.id AS task_id, t.claim INTO held
    FROM prediction_series s
    JOIN model m ON m.project = s.project AND m.name = s.model
    JOIN task t ON t.model_id = m.id AND t.epoch = m.epoch AND t.state = 'claimed' AND t.span @> NEW.time
    CROSS JOIN ledger_identity i
    WHERE s.id = NEW.series_id;
    IF held.incarnation IS NULL THEN
        RETURN CASE WHEN standing.incarnation IS NULL THEN NEW END;
    END IF;
    IF is_new THEN
        NEW.incarnation := held.incarnation;
        NEW.epoch := held.epoch;
        NEW.task_id := held.task_id;
        NEW.claim := held.claim;
        RETURN NEW;
    END IF;
    UPDATE prediction p
    SET columns_id = NEW.columns_id, values = NEW.values, incarnation = held.incarnation, epoch = held.epoch,
        task_id = held.task_id, claim = held.claim
    WHERE p.series_id = NEW.series_id AND p.time = NEW.time
      AND (standing.incarnation IS NULL
           OR (held.incarnation, held.epoch, held.task_id, held.claim)
              >= (standing.incarnation, standing.epoch, standing.task_id, standing.claim));
    RETURN NULL;
END
$$;
