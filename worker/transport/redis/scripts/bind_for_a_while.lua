-- luacheck: read globals redis KEYS ARGV
--
-- Remembers by which exchange a queue that expires is reached, at the memory limit too.
--
-- KEYS: the table of the exchange, and until when each table is kept.
-- ARGV: the queue, as kombu writes it there, the exchange, and for how many milliseconds.
-- Returns nothing.

redis.call('SREM', KEYS[1], '')
redis.call('SADD', KEYS[1], ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], 'GT', now + ARGV[3], ARGV[2])
