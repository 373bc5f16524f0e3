"""`/v2/api/events`: listed, created, settled one by one or by the batch."""
