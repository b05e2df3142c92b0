"""Development worlds: stand-ins for the systems around Latigo, for the demo, tests and benchmarks.

Nothing here is for production, and every stand-in says so: in its ``Server`` header and in the log at its start.
"""
