-- luacheck: read globals redis unpack KEYS ARGV
--
-- Begins leases anew, and notes which of them are of messages that are worked on.
--
-- KEYS: unacked_index.
-- ARGV: how many of the tags are of messages that wait, tags.
-- Returns how many leases were renewed; one that has been acknowledged or given to
-- another worker is not begun again.
--
-- What is worked on has a score that is WORKED seconds later.

local time = redis.call('TIME')
local now, step, WORKED = time[1] + time[2] / 1000000, 1 / 1000000, 4294967296

redis.call('ZREM', KEYS[1], '')
local waiting, scores = tonumber(ARGV[1]), {}
for i = 2, #ARGV do
  local begun = now + i * step
  scores[#scores + 1] = i - 1 > waiting and begun + WORKED or begun
  scores[#scores + 1] = ARGV[i]
end
return redis.call('ZADD', KEYS[1], 'XX', 'CH', unpack(scores))
