"""Outcomes, pushed: to endpoints that are waiting for them, signed by Standard Webhooks.

Reads the stream of outcomes as a consumer group (`routing`), puts each where its endpoints'
wait (`queues`), and from there one batch after the other is built, signed and posted
(`delivering`). Everything that must survive is in Redis.
"""
