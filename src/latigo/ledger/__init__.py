"""The ledger: which time of which model is covered, absent, parked or in flight. PostgreSQL."""
