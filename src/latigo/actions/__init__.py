"""Changes by operators, each recorded with user and time."""
