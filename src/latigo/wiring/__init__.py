"""The only place that opens foreign systems and hands them to the roles."""
