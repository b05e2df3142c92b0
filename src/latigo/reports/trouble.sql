-- Whether the ledger takes writes.

-- use_little_memory --
-- In this transaction.
SET LOCAL work_mem = '64kB';

-- spill_to_disk --
-- Needs more memory than that, and so half a megabyte of the disk: reading fails on a full one, where nothing else does.
SELECT count(*) FROM generate_series(1, 20000);
