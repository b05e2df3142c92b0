"""A random campaign against Latigo: real processes that are killed, frozen and cut off, and a judge of what is left.

``make chaos`` runs it; `chaos.campaign` says what happens in it, and `chaos.judge` what counts as lost, doubled and
wrong.
"""
