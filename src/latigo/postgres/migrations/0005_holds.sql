-- coverage_held_for --
-- The downstream that a model is held for; empty where no circuit tells when that is over.
ALTER TABLE coverage ADD COLUMN held_for text NOT NULL DEFAULT '';
