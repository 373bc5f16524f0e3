"""The whole service as its workers report it: asked, compared with before, and shown.

What was asked once is a `Poll`; what two of them in a row say is a `View`.
"""
