"""Opens foreign systems and hands them to the roles; nothing else does."""
