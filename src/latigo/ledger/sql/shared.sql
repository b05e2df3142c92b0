-- Statements that several stores share.

-- clock --
-- The ledger's time, and the database's own.
SELECT ledger_now() AS ledger, clock_timestamp() AS database;
