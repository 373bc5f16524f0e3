-- luacheck: read globals redis KEYS ARGV
--
-- Reads the batch that is next for an endpoint: the same one until it is delivered or made smaller.
--
-- KEYS: its queue, and its state.
-- ARGV: the lease, how many outcomes a batch has at most, and how many bytes, unless it is one.
-- Returns the fields of its state and the entries; nothing if the lease is another's.

local queue, state = KEYS[1], KEYS[2]
if redis.call('HGET', state, 'lease') ~= ARGV[1] then return nil end
redis.call('HDEL', state, '')

local size = tonumber(redis.call('HGET', state, 'size') or ARGV[2])
local last = redis.call('HGET', state, 'last')
-- What was in it may be gone, for want of room.
if last and #redis.call('XRANGE', queue, '-', last, 'COUNT', 1) == 0 then last = false end
local most = last and 1000 or math.min(size, tonumber(ARGV[2]))
local max_bytes = tonumber(ARGV[3])

local function bytes(entry)
  local sum = 0
  for _, part in ipairs(entry[2]) do sum = sum + #part end
  return sum
end

local entries, room, since = {}, max_bytes, '-'
while #entries < most do
  local count = math.min(16, most - #entries)
  local some = redis.call('XRANGE', queue, since, last or '+', 'COUNT', count)
  for _, entry in ipairs(some) do
    room = room - bytes(entry)
    if room < 0 and #entries > 0 and not last then most = 0 break end
    entries[#entries + 1] = entry
  end
  if #some == 0 then break end
  since = '(' .. some[#some][1]
end
if #entries > 0 then redis.call('HSET', state, 'last', entries[#entries][1]) end
return {redis.call('HGETALL', state), entries}
