-- luacheck: read globals redis unpack KEYS ARGV
--
-- Takes messages off their lists and records them as held.
--
-- KEYS: unacked, unacked_index, then lists: first those of suspects, then those
-- of the queues in the order in which they are to be emptied.
-- ARGV: how many to take at most, what tags begin with, '1' if anything is held,
-- how many of the lists are of suspects, and for every list the end of its entries
-- in unacked, '' if nobody will acknowledge what is taken from it.
-- Returns what is left at the broker (NOTHING, MORE or SUSPECTS, as below), then pairs
-- of the list's number and the item; the n-th item has the tag that ends in n.
--
-- A suspect is taken alone, by a worker that holds nothing; until there are no
-- more of them nothing else is taken. From a list that is not acknowledged one
-- item is taken, for only what was taken can be lost with the worker. About a
-- mebibyte ends a fetch, so that a thousand bulk messages do not come at once.

redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
local limit, prefix, busy, suspects = tonumber(ARGV[1]), ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local NOTHING, MORE, SUSPECTS = 0, 1, 2

local time = redis.call('TIME')
local now, step = time[1] + time[2] / 1000000, 1 / 1000000

local reply, taken, bytes, MAX_BYTES = {NOTHING}, 0, 0, 1048576

local function take(list, most)
  local tail, chunk, before = ARGV[list + 4], 1, taken
  if tail == '' then most = 1 end
  -- Twice as many each time: a list of large items is left before they are too many.
  while most > taken - before and bytes < MAX_BYTES do
    local items = redis.call('RPOP', KEYS[list + 2], math.min(chunk, most - taken + before))
    if not items then return end
    local values, scores = {}, {}
    for _, item in ipairs(items) do
      taken, bytes = taken + 1, bytes + #item
      reply[#reply + 1] = list
      reply[#reply + 1] = item
      if tail ~= '' then
        local tag = prefix .. taken
        values[#values + 1] = tag
        values[#values + 1] = '[' .. item .. tail
        scores[#scores + 1] = now + taken * step
        scores[#scores + 1] = tag
      end
    end
    if tail ~= '' then
      redis.call('HSET', KEYS[1], unpack(values))
      redis.call('ZADD', KEYS[2], unpack(scores))
    end
    chunk = chunk * 2
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
