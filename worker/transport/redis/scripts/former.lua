-- luacheck: read globals redis KEYS ARGV
--
-- Finds what a dead worker of the release before holds, under keys that others use too.
--
-- KEYS: unacked, unacked_index.
-- ARGV: the lease in seconds, the score after which to look, how many to look at,
-- then the ends of our entries.
-- Returns the score after which to look next, '-inf' at the end, then those of our
-- entries whose lease has ended: tag, score, entry.
--
-- What others hold is looked at by its tag alone: ours are 32 digits and two numbers.

local time = redis.call('TIME')
local ended = time[1] + time[2] / 1000000 - ARGV[1]

local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], ended,
  'WITHSCORES', 'LIMIT', 0, ARGV[3])
local reply = {#found < 2 * ARGV[3] and '-inf' or found[#found]}
for i = 1, #found, 2 do
  local digits = string.match(found[i], '^(%x+)%-%d+%-%d+$')
  local entry = digits and #digits == 32 and redis.call('HGET', KEYS[1], found[i])
  for n = 4, entry and #ARGV or 0 do
    if string.sub(entry, -#ARGV[n]) == ARGV[n] then
      reply[#reply + 1] = found[i]
      reply[#reply + 1] = found[i + 1]
      reply[#reply + 1] = entry
      break
    end
  end
end
return reply
