"""The main job on made-up but realistic input, with everything counted afterwards.

`plan` says what is sent and what must come of it, `producer` sends it from a
process of its own, `stack` runs the servers and the worker, `tally` counts the
outcomes that come, and `reconciliation` compares.
"""
