-- luacheck: read globals redis unpack KEYS ARGV
--
-- Takes messages off their lists and records them as held.
--
-- KEYS: unacked, unacked_index, then lists: first those of suspects, then those
-- of the queues in the order in which they are to be emptied.
-- ARGV: how many to take at most, what tags begin with, '1' if anything is held,
-- how many of the lists are of suspects, and for every list the end of its entries
-- in unacked, '' if nobody will acknowledge what is taken from it.
-- Returns what is left at the broker (NOTHING, MORE or SUSPECTS, as below), then for each
-- list that gave any its number, the items, and which of them were cut with their sizes in
-- bytes. The n-th item of all has the tag that ends in n.
--
-- A suspect is taken alone, by a worker that holds nothing; until there are no
-- more of them nothing else is taken. From a list that is not acknowledged one
-- item is taken, for only what was taken can be lost with the worker. Items are
-- looked at, a few at once, before they are taken: together they are a mebibyte at most,
-- unless the first alone is larger. Of one that is too large for a message only the beginning
-- is kept: it is refused, and whoever restores it is not to read all of it.

redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
local lengths = {}
for list = 1, #KEYS - 2 do lengths[list] = redis.call('LLEN', KEYS[list + 2]) end
local limit, prefix, busy, suspects = tonumber(ARGV[1]), ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local NOTHING, MORE, SUSPECTS = 0, 1, 2

local time = redis.call('TIME')
local now, step = time[1] + time[2] / 1000000, 1 / 1000000

local MAX_BYTES, MAX_ITEM_BYTES, KEPT_BYTES, MOST_AHEAD = 1048576, 12582912, 65536, 8
local reply, taken, bytes = {NOTHING}, 0, 0

-- Returns the items at the end of a list that there is room for, the first one first.
local function fitting(key, most)
  local items, ahead = {}, 1
  while #items < most and bytes < MAX_BYTES do
    local seen = redis.call('LRANGE', key, -#items - ahead, -#items - 1)
    for i = #seen, math.max(#seen - most + #items, 0) + 1, -1 do
      local fits = taken + #items == 0 or bytes + #seen[i] <= MAX_BYTES
      if not fits then return items end
      items[#items + 1], bytes = seen[i], bytes + #seen[i]
    end
    if #seen < ahead then return items end
    ahead = math.min(2 * ahead, MOST_AHEAD)
  end
  return items
end

local function record(items, tail)
  local values, scores = {}, {}
  for i, item in ipairs(items) do
    local tag = prefix .. taken + i
    values[#values + 1] = tag
    values[#values + 1] = '[' .. item .. tail
    scores[#scores + 1] = now + (taken + i) * step
    scores[#scores + 1] = tag
  end
  redis.call('HSET', KEYS[1], unpack(values))
  redis.call('ZADD', KEYS[2], unpack(scores))
end

local function take(list, most)
  local tail = ARGV[list + 4]
  local items, cut = fitting(KEYS[list + 2], tail == '' and 1 or most), {}
  if #items == 0 then return end
  redis.call('LTRIM', KEYS[list + 2], 0, -1 - #items)
  if tail ~= '' then
    for i, item in ipairs(items) do
      if #item > MAX_ITEM_BYTES then
        cut[#cut + 1], cut[#cut + 2] = i, #item
        items[i] = item:sub(1, KEPT_BYTES)
      end
    end
    record(items, tail)
  end
  taken = taken + #items
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = list, items, cut
end

for list = 1, suspects do
  if lengths[list] > 0 then
    reply[1] = SUSPECTS
    if not busy then take(list, 1) end
    return reply
  end
end
for list = suspects + 1, #KEYS - 2 do
  local before = taken
  if taken < limit and lengths[list] > 0 then take(list, limit - taken) end
  if lengths[list] > taken - before then reply[1] = MORE end
end
return reply
