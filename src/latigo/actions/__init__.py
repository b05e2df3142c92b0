"""What people ask to be changed. Each action is recorded: who, when, of what, and what came of it."""
