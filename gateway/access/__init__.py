"""Who is let in, how often, and whose events they may see."""
