-- luacheck: read globals redis unpack KEYS ARGV
--
-- Makes room in the stream of outcomes, by what the named groups are done with.
--
-- KEYS: the stream.
-- ARGV: how many entries it is to hold at most, how many are to be added, how many may be
-- looked at in one step, then the names of groups.
-- Returns how many entries went, how many more may be added, and the group that needs the
-- oldest entry which was to go, '' if none does.

local stream = KEYS[1]
local max_length, wanted, step = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local function parts(id)
  local milliseconds, sequence = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(milliseconds), tonumber(sequence)
end

local function is_before(one, other)
  local a, b = parts(one)
  local c, d = parts(other)
  return a < c or (a == c and b < d)
end

local function last_read(group)
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local facts = {}
    for i = 1, #info, 2 do facts[info[i]] = info[i + 1] end
    if facts['name'] == group then return facts['last-delivered-id'] end
  end
end

-- Whether a group is done with an entry: it has read it, and acknowledged it.
local function needs_of(group, oldest)
  local read = last_read(group)
  if not read then return function() return true end end
  -- Of what is pending, some may be trimmed already: nobody can read that any more.
  local pending = redis.call('XPENDING', stream, group, oldest, '+', 1)[1]
  return function(id)
    return is_before(read, id) or (pending and not is_before(id, pending[1]))
  end
end

local length = redis.call('XLEN', stream)
local excess = length + wanted - max_length
if excess <= 0 or length == 0 then return {0, math.max(wanted, max_length - length), ''} end

local entries = redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(excess, step))
local going, needed_by = #entries, ''
for i = 4, #ARGV do
  local needs = needs_of(ARGV[i], entries[1][1])
  for place = 1, going do
    if needs(entries[place][1]) then
      going, needed_by = place - 1, ARGV[i]
      break
    end
  end
end
if going > 0 then redis.call('XTRIM', stream, 'MAXLEN', '=', length - going) end
return {going, max_length - length + going, needed_by}
