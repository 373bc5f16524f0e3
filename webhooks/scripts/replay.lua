-- luacheck: read globals redis unpack KEYS ARGV
--
-- Puts what was set aside for an endpoint back into its queue, behind what waits there.
--
-- KEYS: what was set aside, the queue, the endpoint's state, when endpoints are due, and when those
-- that failed are.
-- ARGV: the endpoint, and how many outcomes at most.
-- Returns how many.

local kept, queue, state, due, retries = unpack(KEYS)
local entries = redis.call('XRANGE', kept, '-', '+', 'COUNT', ARGV[2])
for _, entry in ipairs(entries) do
  local fields = {}
  for i = 1, #entry[2], 2 do
    if entry[2][i] ~= 'reason' then
      fields[#fields + 1] = entry[2][i]
      fields[#fields + 1] = entry[2][i + 1]
    end
  end
  redis.call('XADD', queue, '*', unpack(fields))
  redis.call('XDEL', kept, entry[1])
end
if #entries > 0 and redis.call('HEXISTS', state, 'disabled') == 0
  and not redis.call('ZSCORE', retries, ARGV[1]) then
  redis.call('ZADD', due, 'NX', 0, ARGV[1])
end
return #entries
