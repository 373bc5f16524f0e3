-- luacheck: read globals redis KEYS ARGV
--
-- Moves what is held to where it waits for its time.
--
-- KEYS: unacked, unacked_index, delayed.
-- ARGV: the end of every entry in unacked, then for every message: its tag, in how many
-- seconds it is due, and the list that it goes to then.
-- Returns the tags of those that stay held, because they could not be moved.
--
-- Delayed is a sorted set by the time at which a message is due. A member is the tag, the
-- list and the item, with a zero byte between them: two of the same item are two members.

redis.call('ZREM', KEYS[2], '')
local time = redis.call('TIME')
local now, tail = time[1] + time[2] / 1000000, ARGV[1]

local stay = {}
for i = 2, #ARGV, 3 do
  local tag, seconds, list = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local entry = redis.call('HGET', KEYS[1], tag)
  -- Otherwise somebody else has it already.
  if entry then
    local member = table.concat({tag, list, string.sub(entry, 2, -#tail - 1)}, '\0')
    local added = string.sub(entry, -#tail) == tail
      and redis.pcall('ZADD', KEYS[3], string.format('%.6f', now + seconds), member)
    if added == 1 then
      redis.call('ZREM', KEYS[2], tag)
      redis.call('HDEL', KEYS[1], tag)
    else
      stay[#stay + 1] = tag
    end
  end
end
return stay
