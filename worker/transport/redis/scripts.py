"""What Redis does in one step: the Lua scripts of the transport.

Nothing is decoded here: an item is bytes between brackets, so that odd JSON can
break no script. Scores are seconds of the server's own clock, and no two entries
of one step have the same, so that ordering by score is the order of the queue.

Redis at its memory limit refuses what may need memory, unless the script has
written before; each script that needs that begins with a write which frees
memory or does nothing. A script that fails half-way is not undone: whatever may
fail comes before anything is taken away.

Redis 6.2 or later, or Valkey; not Redis Cluster, where keys that a script uses
would have to be in one slot.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple


class Script(NamedTuple):
    """A script and the name by which Redis remembers it."""

    text: str
    sha: str


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


# The server's time as `now`, in seconds, and the distance of two scores.
_NOW = """
local time = redis.call('TIME')
local now, step = time[1] + time[2] / 1000000, 1 / 1000000
"""

# KEYS: unacked, unacked_index, then lists: first those of suspects, then those
# of the queues in the order in which they are to be emptied.
# ARGV: how many to take at most, what tags begin with, '1' if anything is held,
# how many of the lists are of suspects, and for every list the end of its entries
# in unacked, '' if nobody will acknowledge what is taken from it.
#
# Returns what is left at the broker (see below), then pairs of the list's number
# and the item; the n-th item has the tag that ends in n.
#
# A suspect is taken alone, by a worker that holds nothing; until there are no
# more of them nothing else is taken. From a list that is not acknowledged one
# item is taken, for only what was taken can be lost with the worker. About a
# mebibyte ends a fetch, so that a thousand bulk messages do not come at once.
FETCH: Final = _script(
    """
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
local limit, prefix, busy, suspects = tonumber(ARGV[1]), ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local NOTHING, MORE, SUSPECTS = 0, 1, 2
"""
    + _NOW
    + """
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
"""
)
NOTHING, MORE, SUSPECTS = 0, 1, 2

# KEYS: unacked, unacked_index. ARGV: the lease in seconds, how many at most.
# Returns the newest entries whose lease has ended: tag, score, entry.
EXPIRED: Final = _script(
    _NOW
    + """
local found = redis.call('ZREVRANGEBYSCORE', KEYS[2], now - ARGV[1], '-inf',
  'WITHSCORES', 'LIMIT', 0, ARGV[2])
local reply = {}
for i = 1, #found, 2 do
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = found[i + 1]
  reply[#reply + 1] = redis.call('HGET', KEYS[1], found[i])
end
return reply
"""
)

# KEYS: unacked, unacked_index. ARGV: tags.
# Returns the entries of those that are recorded: tag, score, entry.
LOOK_UP: Final = _script(
    """
local reply = {}
for _, tag in ipairs(ARGV) do
  local score = redis.call('ZSCORE', KEYS[2], tag)
  if score then
    reply[#reply + 1] = tag
    reply[#reply + 1] = score
    reply[#reply + 1] = redis.call('HGET', KEYS[1], tag)
  end
end
return reply
"""
)

# KEYS: unacked, unacked_index, then lists. ARGV for every entry: tag, score and
# SHA-1 of the entry as they were seen, the item that it becomes, how many lists
# to put that in, and their numbers. Without a SHA-1 the entry was seen to be
# missing, and its index is tidied up.
#
# An entry moves only if it still is what was seen: one that was acknowledged,
# renewed or moved in the meantime stays as it is; so does one that its list, being
# something else than a list, does not take. Returns how many moved.
MOVE: Final = _script(
    """
redis.call('ZREM', KEYS[2], '')
local moved, i = 0, 1
while i <= #ARGV do
  local tag, score, sha, item, lists = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local entry = redis.call('HGET', KEYS[1], tag)
  local seen = entry and redis.sha1hex(entry) or ''
  if seen == sha and redis.call('ZSCORE', KEYS[2], tag) == score then
    local refused = false
    for n = 1, lists do
      local pushed = redis.pcall('RPUSH', KEYS[ARGV[i + 4 + n] + 2], item)
      refused = refused or type(pushed) == 'table'
    end
    if not refused then
      redis.call('ZREM', KEYS[2], tag)
      redis.call('HDEL', KEYS[1], tag)
      moved = moved + 1
    end
  end
  i = i + 5 + lists
end
return moved
"""
)

# KEYS: unacked_index. ARGV: tags. Returns how many leases were renewed; one that
# has been acknowledged or given to another worker is not begun again.
RENEW: Final = _script(
    _NOW
    + """
redis.call('ZREM', KEYS[1], '')
local scores = {}
for i, tag in ipairs(ARGV) do
  scores[#scores + 1] = now + i * step
  scores[#scores + 1] = tag
end
return redis.call('ZADD', KEYS[1], 'XX', 'CH', unpack(scores))
"""
)
