"""What people use today for the same job, configured as well as its own documentation says."""
