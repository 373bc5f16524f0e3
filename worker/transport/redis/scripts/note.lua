-- luacheck: read globals redis KEYS ARGV
--
-- Notes what is worked on, and what is not any more.
--
-- KEYS: worked_on.
-- ARGV: how many spans are over, these, then spans that are begun.
-- Returns nothing.
--
-- Worked on is a sorted set of spans of tags, by the time at which their leases began.

redis.call('ZREM', KEYS[1], '')
local time = redis.call('TIME')
local now, over = time[1] + time[2] / 1000000, tonumber(ARGV[1])

for i = 2, #ARGV do
  if i <= over + 1 then
    redis.call('ZREM', KEYS[1], ARGV[i])
  else
    redis.call('ZADD', KEYS[1], now, ARGV[i])
  end
end
