"""Changes that people ask for. Each is recorded: who, when, for what, and its result."""
