"""What upstream services and consumers of Settle install beside their own code."""
