"""Applied: batches in slots, settled, tried again, or given back."""
