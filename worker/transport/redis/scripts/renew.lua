-- luacheck: read globals redis unpack KEYS ARGV
--
-- Begins leases anew.
--
-- KEYS: unacked_index, or worked_on.
-- ARGV: tags, or spans of them.
-- Returns how many leases were renewed; one that has been acknowledged or given to
-- another worker is not begun again.

redis.call('ZREM', KEYS[1], '')
local time = redis.call('TIME')
local now, step = time[1] + time[2] / 1000000, 1 / 1000000

local scores = {}
for i = 1, #ARGV do
  scores[#scores + 1] = now + i * step
  scores[#scores + 1] = ARGV[i]
end
return redis.call('ZADD', KEYS[1], 'XX', 'CH', unpack(scores))
