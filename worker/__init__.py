"""The process: Celery's worker around the work, and the command line."""
