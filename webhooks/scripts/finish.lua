-- luacheck: read globals redis unpack KEYS ARGV
--
-- Records what became of a try, and when the endpoint is due again.
--
-- KEYS: the endpoint's queue, its state, what was set aside for it, when endpoints are due, and
-- when those that failed are.
-- ARGV: the lease, the endpoint, after how many milliseconds it is due again (0 for at once, -1 for
-- never), how many outcomes are kept aside, how many entries are delivered, their ids, how many are
-- set aside, their ids, how many fields of the state are new, the names and values of these, then
-- the names of those that go.
-- Returns 1, 0 if the lease is another's.

local queue, state, kept, due, retries = unpack(KEYS)
if redis.call('HGET', state, 'lease') ~= ARGV[1] then return 0 end
redis.call('HDEL', state, 'lease')

local place = 5
local function block(width)
  local count = tonumber(ARGV[place]) * width
  local values = {unpack(ARGV, place + 1, place + count)}
  place = place + count + 1
  return values
end

local delivered, aside, changed = block(1), block(1), block(2)
local gone = {unpack(ARGV, place)}
if #delivered > 0 then redis.call('XDEL', queue, unpack(delivered)) end
for _, id in ipairs(aside) do
  for _, entry in ipairs(redis.call('XRANGE', queue, id, id)) do
    redis.call('XADD', kept, 'MAXLEN', '~', ARGV[4], '*', 'reason', 'refused', unpack(entry[2]))
  end
  redis.call('XDEL', queue, id)
end
if #gone > 0 then redis.call('HDEL', state, unpack(gone)) end
if #delivered > 0 then redis.call('HINCRBY', state, 'delivered', #delivered) end
if #changed > 0 then redis.call('HSET', state, unpack(changed)) end

local name, wait = ARGV[2], tonumber(ARGV[3])
redis.call('ZREM', due, name)
redis.call('ZREM', retries, name)
if wait >= 0 and redis.call('XLEN', queue) > 0 then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', wait == 0 and due or retries, now + wait, name)
end
return 1
