"""Reports: typed models read from the ledger, the one source of command line, gauges and API.

One file for each question, with its statements in the ``.sql`` file of the same name. Reads only; what changes
something is in `latigo.actions`.
"""
