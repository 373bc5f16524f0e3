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
-- the last one that is added trims for all: those that may add need no right to trim.

local stream, above_limit, max_length = KEYS[1], ARGV[1] == '1', ARGV[2]
local call, last = redis.call, #ARGV
if above_limit then call('XTRIM', stream, 'MAXLEN', '~', max_length) end
for i = 3, last do
  if i < last then
    call('XADD', stream, '*', 'outcome', ARGV[i])
  else
    call('XADD', stream, 'MAXLEN', '~', max_length, '*', 'outcome', ARGV[i])
  end
  call('PUBLISH', stream, ARGV[i])
end
