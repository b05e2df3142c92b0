"""The sandbox: servers in the place of the systems around Latigo, for the demo, tests and benchmarks.

None of them is for production, which the log says when they start, and Gordo's ``Server`` header with every response.
"""
