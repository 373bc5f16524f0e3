"""Fetched: the brokers that messages come from, each behind the same protocol."""
