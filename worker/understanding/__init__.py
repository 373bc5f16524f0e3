"""Understood: from what a broker delivered to messages that are held, or refused."""
