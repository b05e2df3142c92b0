"""The executor: claims tasks, turns them into predictions, and settles them in the ledger."""
