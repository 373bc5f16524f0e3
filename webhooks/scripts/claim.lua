-- luacheck: read globals redis KEYS ARGV
--
-- Gives endpoints that are due to one process, until its lease ends or it has finished.
--
-- KEYS: when endpoints are due, and when those that failed are.
-- ARGV: the lease, for how many milliseconds, the prefix of states, and how many may be taken of
-- the one and of the other.
-- Returns the names of the ones and of the others.
--
-- What has written before is not refused at a memory limit: what is delivered makes room.

redis.call('ZREM', KEYS[1], '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local names = {{}, {}}
for number, key in ipairs(KEYS) do
  local found = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, ARGV[3 + number])
  for _, name in ipairs(found) do
    redis.call('ZADD', key, now + ARGV[2], name)
    redis.call('HSET', ARGV[3] .. name, 'lease', ARGV[1])
    names[number][#names[number] + 1] = name
  end
end
return names
