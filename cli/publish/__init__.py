"""What `settle publish` is made of: updates read, refused, sent, and waited for."""
