-- luacheck: read globals redis unpack KEYS ARGV
--
-- Takes from buckets that fill up steadily: from all of them, or from none if one is empty.
--
-- KEYS: the buckets.
-- ARGV: for each of them, how much flows in a second, which is also what it holds, and how
-- much to take; more than is left is owed.
-- Returns '1' if it was taken, else '0', and for each bucket in how many seconds it is full again.
--
-- A bucket is kept as the time at which it is full again, by this server's clock, and no longer.

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

-- Lua hands on no more than some thousand arguments at once.
local AT_ONCE = 1000

local missing, has_some = {}, true
for first = 1, #KEYS, AT_ONCE do
  local last = math.min(first + AT_ONCE - 1, #KEYS)
  for offset, full_at in ipairs(redis.call('MGET', unpack(KEYS, first, last))) do
    local i = first + offset - 1
    missing[i] = math.max((tonumber(full_at) or 0) - now, 0)
    has_some = has_some and missing[i] * ARGV[2 * i - 1] <= ARGV[2 * i - 1] - 0.999
  end
end

local answer = {has_some and '1' or '0'}
for i, key in ipairs(KEYS) do
  if has_some then
    missing[i] = missing[i] + ARGV[2 * i] / ARGV[2 * i - 1]
    local full_at = string.format('%.6f', now + missing[i])
    redis.call('SET', key, full_at, 'PX', math.ceil(missing[i] * 1000))
  end
  answer[i + 1] = string.format('%.6f', missing[i])
end
return answer
