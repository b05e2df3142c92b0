-- coverage_not_finite --
-- The share of values that are not finite in the model's newest prediction; null while there was none.
ALTER TABLE coverage ADD COLUMN not_finite real;

-- slot_exception_unstored --
-- Slots whose readings allow rows that are not stored: the fault is the model's or a sink's. Usually none.
CREATE INDEX slot_exception_unstored ON slot_exception (model_id)
WHERE split_part(reason, ':', 1) IN ('no_finite_values', 'not_stored');
