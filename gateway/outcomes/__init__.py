"""`/v2/api/outcomes`: the stream of outcomes, for those who have no Redis."""
