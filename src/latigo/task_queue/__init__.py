"""The way of tasks from the scheduler to executors: protocol, envelope and implementations."""
