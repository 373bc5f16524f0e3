-- luacheck: read globals redis KEYS ARGV
--
-- Finds what is held by nobody any more.
--
-- KEYS: unacked, unacked_index.
-- ARGV: the lease in seconds, how many at most.
-- Returns the entries whose lease has ended: tag, score, entry. First those that waited,
-- then those that were worked on, whose scores are WORKED seconds later; of each the
-- newest first.

local time = redis.call('TIME')
local ended = time[1] + time[2] / 1000000 - ARGV[1]
local most, WORKED = tonumber(ARGV[2]), 4294967296

local reply = {}
local function find(newest, oldest)
  local found = redis.call('ZREVRANGEBYSCORE', KEYS[2], newest, oldest,
    'WITHSCORES', 'LIMIT', 0, most - #reply / 3)
  for i = 1, #found, 2 do
    reply[#reply + 1] = found[i]
    reply[#reply + 1] = found[i + 1]
    reply[#reply + 1] = redis.call('HGET', KEYS[1], found[i])
  end
end
find(ended, '-inf')
find(WORKED + ended, WORKED)
return reply
