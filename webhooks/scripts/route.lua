-- luacheck: read globals redis unpack KEYS ARGV
--
-- Puts outcomes into the queues of endpoints, and acknowledges them, for who may route.
--
-- KEYS: the stream of outcomes, who routes, when endpoints are due, when those that failed are, and
-- the names of all; then for each endpoint its queue, its state, and what was set aside for it.
-- ARGV: the lease of who routes, for how many milliseconds it is prolonged, the consumer group, how
-- many outcomes may wait for an endpoint, how many endpoints there are, their names, how many
-- entries are acknowledged, their ids, then for each outcome the number of its endpoint, its event,
-- its entry and its text.
-- Returns how many were set aside for want of room, -1 if the lease is another's.
--
-- What is queued is written first: at a memory limit that is refused, and all of this with it.

local stream, router, due, retries, all = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if redis.call('GET', router) ~= ARGV[1] then return -1 end

local group, most, endpoints = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local count = tonumber(ARGV[6 + endpoints])
local first_id = 7 + endpoints

local function queue(number) return KEYS[3 + 3 * number] end

for i = first_id + count, #ARGV, 4 do
  redis.call('XADD', queue(tonumber(ARGV[i])), '*',
    'event', ARGV[i + 1], 'entry', ARGV[i + 2], 'outcome', ARGV[i + 3])
end
redis.call('PEXPIRE', router, ARGV[2])

-- The oldest go where they wait for a person: what is newest is told first.
local function make_room(number)
  local excess = math.min(redis.call('XLEN', queue(number)) - most, 1000)
  if excess <= 0 then return 0 end
  local entries = redis.call('XRANGE', queue(number), '-', '+', 'COUNT', excess)
  for _, entry in ipairs(entries) do
    redis.call('XADD', KEYS[5 + 3 * number], 'MAXLEN', '~', most, '*',
      'reason', 'overflow', unpack(entry[2]))
    redis.call('XDEL', queue(number), entry[1])
  end
  return #entries
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local set_aside = 0
for number = 1, endpoints do
  local name = ARGV[5 + number]
  redis.call('ZADD', all, 0, name)
  set_aside = set_aside + make_room(number)
  if redis.call('HEXISTS', KEYS[4 + 3 * number], 'disabled') == 0
    and not redis.call('ZSCORE', retries, name) then
    redis.call('ZADD', due, 'NX', now, name)
  end
end
if count > 0 then
  redis.call('XACK', stream, group, unpack(ARGV, first_id, first_id + count - 1))
end
return set_aside
