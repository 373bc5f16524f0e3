"""What `settle dead` shows: letters by reason, and letter by letter."""
