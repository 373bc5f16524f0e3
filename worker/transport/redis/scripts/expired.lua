-- luacheck: read globals redis KEYS ARGV
--
-- Finds what is held by nobody any more.
--
-- KEYS: unacked, unacked_index.
-- ARGV: the lease in seconds, how many at most.
-- Returns the newest entries whose lease has ended: tag, score, entry.

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

local found = redis.call('ZREVRANGEBYSCORE', KEYS[2], now - ARGV[1], '-inf',
  'WITHSCORES', 'LIMIT', 0, ARGV[2])
local reply = {}
for i = 1, #found, 2 do
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = found[i + 1]
  reply[#reply + 1] = redis.call('HGET', KEYS[1], found[i])
end
return reply
