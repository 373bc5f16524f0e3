-- luacheck: read globals redis KEYS ARGV
--
-- Publishes outcomes: each for whoever comes later, and for whoever listens now.
--
-- KEYS: the stream, whose name is the channel's too.
-- ARGV: '1' if it may write above the server's memory limit, else ''; how many entries
-- the stream is to keep, approximately; then the outcomes.
-- Returns nothing.
--
-- What has written before is not refused at the limit: so it trims before it adds. Otherwise
-- one that is added now and then trims for those before it, which needs no right to trim: each
-- time a hundred nodes of the stream at most, and a node has one entry at least.

local stream, above_limit, max_length = KEYS[1], ARGV[1] == '1', ARGV[2]
local call, last, TRIMMED_AFTER = redis.call, #ARGV, 100
if above_limit then call('XTRIM', stream, 'MAXLEN', '~', max_length) end
for i = 3, last do
  if i == last or i % TRIMMED_AFTER == 0 then
    call('XADD', stream, 'MAXLEN', '~', max_length, '*', 'outcome', ARGV[i])
  else
    call('XADD', stream, '*', 'outcome', ARGV[i])
  end
  call('PUBLISH', stream, ARGV[i])
end
