-- luacheck: read globals redis KEYS ARGV
--
-- Moves what is due to the list that it is fetched from, as if it were sent now.
--
-- KEYS: delayed, then the lists of the queue, first the one for what names none of them.
-- ARGV: how many to move at most.
-- Returns how many moved.
--
-- The one that was due first goes first. About a mebibyte ends it, so that Redis is not
-- kept from others. One that its list, being something else than a list, does not take
-- stays as it is, and so does none behind it.

redis.call('ZREM', KEYS[1], '')
local time = redis.call('TIME')
local now, most, MAX_BYTES = time[1] + time[2] / 1000000, tonumber(ARGV[1]), 1048576

local is_list = {}
for n = 2, #KEYS do is_list[KEYS[n]] = true end

local function take_apart(member)
  local first = string.find(member, '\0', 1, true)
  local second = first and string.find(member, '\0', first + 1, true)
  -- What somebody else put there is set aside where it is fetched.
  if not second then return KEYS[2], member end
  local list = string.sub(member, first + 1, second - 1)
  return is_list[list] and list or KEYS[2], string.sub(member, second + 1)
end

local moved, stay, bytes = 0, 0, 0
while moved + stay < most and bytes < MAX_BYTES do
  local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', stay, 1)
  if not found[1] then break end
  local list, item = take_apart(found[1])
  if type(redis.pcall('LPUSH', list, item)) == 'number' then
    redis.call('ZREM', KEYS[1], found[1])
    moved, bytes = moved + 1, bytes + #item
  else
    stay = stay + 1
  end
end
return moved
