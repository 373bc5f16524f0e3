-- luacheck: read globals redis KEYS ARGV
--
-- Lets an endpoint be tried again, at once, as if it had never failed.
--
-- KEYS: its queue, its state, when endpoints are due, and when those that failed are.
-- ARGV: the endpoint.
-- Returns how many outcomes wait for it.
--
-- A try that is under way keeps its turn: whoever has the lease records what becomes of it.

local queue, state, due, retries = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
redis.call('HDEL', state, 'disabled', 'disabled_at', 'failures', 'failing_since', 'refusals')
local waiting = redis.call('XLEN', queue)
if redis.call('HEXISTS', state, 'lease') == 0 then
  redis.call('ZREM', retries, ARGV[1])
  if waiting > 0 then redis.call('ZADD', due, 0, ARGV[1]) end
end
return waiting
