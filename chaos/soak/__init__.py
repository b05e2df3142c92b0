"""Many tasks while everything is killed in turn, and whether anything grows.

``make soak`` runs it; `chaos.soak.run` says what happens, `chaos.judge`, `chaos.soak.tables` and `chaos.soak.usage`
what may not come of it.
"""
