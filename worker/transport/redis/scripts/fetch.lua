-- luacheck: read globals redis unpack KEYS ARGV
--
-- Takes messages off their lists and records them as held.
--
-- KEYS: unacked, unacked_index, then lists: first those of suspects, then those
-- of the queues in the order in which they are to be emptied.
-- ARGV: how many to take at most, what tags begin with, '1' if anything is held,
-- how many of the lists are of suspects, and for every list the end of its entries
-- in unacked, '' if nobody will acknowledge what is taken from it.
-- Returns what is left at the broker (NOTHING, MORE or SUSPECTS, as below), then for
-- each item its list's number, its size in bytes and itself; the n-th has the tag that ends in n.
--
-- A suspect is taken alone, by a worker that holds nothing; until there are no
-- more of them nothing else is taken. From a list that is not acknowledged one
-- item is taken, for only what was taken can be lost with the worker. Items are
-- looked at before they are taken: together they are a mebibyte at most, unless the
-- first alone is larger. Of one that is too large for a message only the beginning is
-- kept: it is refused, and whoever restores it is not to read all of it.

redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
local limit, prefix, busy, suspects = tonumber(ARGV[1]), ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local NOTHING, MORE, SUSPECTS = 0, 1, 2

local time = redis.call('TIME')
local now, step = time[1] + time[2] / 1000000, 1 / 1000000

local MAX_BYTES, MAX_ITEM_BYTES, KEPT_BYTES = 1048576, 12582912, 65536
local reply, taken, bytes = {NOTHING}, 0, 0

-- Returns how many items at the end of a list there is room for.
local function fitting(key, most)
  local count = 0
  while count < most do
    local item = redis.call('LINDEX', key, -1 - count)
    if not item or (taken + count > 0 and bytes + #item > MAX_BYTES) then break end
    count, bytes = count + 1, bytes + #item
  end
  return count
end

local function take(list, most)
  local tail = ARGV[list + 4]
  local count = fitting(KEYS[list + 2], tail == '' and 1 or most)
  if count == 0 then return end
  local values, scores = {}, {}
  for _, item in ipairs(redis.call('RPOP', KEYS[list + 2], count)) do
    taken = taken + 1
    reply[#reply + 1] = list
    reply[#reply + 1] = #item
    if #item > MAX_ITEM_BYTES and tail ~= '' then item = item:sub(1, KEPT_BYTES) end
    reply[#reply + 1] = item
    local tag = prefix .. taken
    values[#values + 1] = tag
    values[#values + 1] = '[' .. item .. tail
    scores[#scores + 1] = now + taken * step
    scores[#scores + 1] = tag
  end
  if tail ~= '' then
    redis.call('HSET', KEYS[1], unpack(values))
    redis.call('ZADD', KEYS[2], unpack(scores))
  end
end

for list = 1, suspects do
  if redis.call('EXISTS', KEYS[list + 2]) == 1 then
    reply[1] = SUSPECTS
    if not busy then take(list, 1) end
    return reply
  end
end
for list = suspects + 1, #KEYS - 2 do
  if taken < limit then take(list, limit - taken) end
  if redis.call('EXISTS', KEYS[list + 2]) == 1 then reply[1] = MORE end
end
return reply
