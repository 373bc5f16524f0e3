"""Fetched: the brokers that messages come from, each a folder behind the same protocol.

The protocol is in `worker.transport.broker`, and so is the one place that decides
which broker a URL means. What comes from any of them is a `Delivery`. A stage after
this one never asks which broker it is.
"""
