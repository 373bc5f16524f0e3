"""How a worker is, for whoever asks: metrics, probes, and a file that says so.

Nothing here decides anything about an update. It asks the pipeline, when somebody
asks it.
"""
