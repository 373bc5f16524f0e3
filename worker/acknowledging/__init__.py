"""Acknowledged: what the broker is told about messages."""
