-- luacheck: read globals redis unpack KEYS ARGV
--
-- Begins leases anew.
--
-- KEYS: unacked_index.
-- ARGV: tags.
-- Returns how many leases were renewed; one that has been acknowledged or given to
-- another worker is not begun again.

local time = redis.call('TIME')
local now, step = time[1] + time[2] / 1000000, 1 / 1000000

redis.call('ZREM', KEYS[1], '')
local scores = {}
for i, tag in ipairs(ARGV) do
  scores[#scores + 1] = now + i * step
  scores[#scores + 1] = tag
end
return redis.call('ZADD', KEYS[1], 'XX', 'CH', unpack(scores))
