"""The only place that replaces, or reaches into, what is Celery's and kombu's own."""
