-- luacheck: read globals redis KEYS ARGV
--
-- Finds what is held by nobody any more.
--
-- KEYS: unacked, unacked_index, worked_on.
-- ARGV: the lease in seconds, how many at most.
-- Returns two lists of the entries whose lease has ended: those that waited, and those that
-- were worked on. Of each entry the tag, the score and itself; the newest first.
--
-- When there are none, no span that has ended for as long again has any tag left, and it
-- is forgotten.

local time = redis.call('TIME')
local now, lease = time[1] + time[2] / 1000000, tonumber(ARGV[1])

local found = redis.call('ZREVRANGEBYSCORE', KEYS[2], now - lease, '-inf',
  'WITHSCORES', 'LIMIT', 0, ARGV[2])
if #found == 0 then
  for _, span in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - 2 * lease)) do
    redis.call('ZREM', KEYS[3], span)
  end
  return {{}, {}}
end

local spans = {}
for _, span in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '+inf')) do
  local start, first, last = string.match(span, '^(.*-)(%d+):(%d+)$')
  if start then
    spans[start] = spans[start] or {}
    table.insert(spans[start], {tonumber(first), tonumber(last)})
  end
end

local function was_worked_on(tag)
  local start, number = string.match(tag, '^(.*-)(%d+)$')
  for _, span in ipairs(spans[start] or {}) do
    if span[1] <= tonumber(number) and tonumber(number) <= span[2] then return true end
  end
  return false
end

local waited, worked_on = {}, {}
for i = 1, #found, 2 do
  local list = was_worked_on(found[i]) and worked_on or waited
  list[#list + 1] = found[i]
  list[#list + 1] = found[i + 1]
  list[#list + 1] = redis.call('HGET', KEYS[1], found[i])
end
return {waited, worked_on}
