"""Measurements that decisions rest on. They print what they compared; nothing gates on them."""
