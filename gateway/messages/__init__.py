"""`/v2/api/messages`: requests that go to the queue, and are answered later."""
