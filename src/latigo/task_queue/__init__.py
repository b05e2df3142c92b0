"""How tasks get from the scheduler to executors: a protocol, the envelope, and one file an implementation."""
