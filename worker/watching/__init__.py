"""What whoever watches is told: events, logs, metrics, traces, health, and answers to questions.

Nothing here decides anything about an update. It is told what happens, a few times
a batch, and the rest is looked up when somebody asks.
"""
