-- luacheck: read globals redis KEYS ARGV
--
-- Remembers by which exchange a queue is reached, at the memory limit too.
--
-- KEYS: the table of the exchange, and of it those that are kept for good.
-- ARGV: the queue, as kombu writes it there.
-- Returns nothing.

redis.call('SREM', KEYS[1], '')
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[2], ARGV[1])
