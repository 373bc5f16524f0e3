"""What happens, for whoever watches: task events, traces, metrics and the log.

The stages of the pipeline call this, a few times a batch; it never asks them.
"""
