"""What commands that go through many lines share: how they are read, refused, and counted."""
