"""What happens, told to whoever watches: events, traces, metrics and the log."""
