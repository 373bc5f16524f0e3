"""The contract and the work: messages in, a batch settled, outcomes out.

Nothing here but `tasks.status_updates` knows Celery.
"""
