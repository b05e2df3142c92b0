"""Changes by operators. Each is recorded: user, time, target and result."""
