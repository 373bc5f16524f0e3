-- luacheck: read globals redis KEYS ARGV
--
-- Publishes outcomes: each for whoever comes later, and for whoever listens now.
--
-- KEYS: the stream, whose name is the channel's too.
-- ARGV: how many entries the stream is to keep, approximately, then the outcomes.
-- Returns nothing.

local stream, max_length = KEYS[1], ARGV[1]
for i = 2, #ARGV do
  redis.call('XADD', stream, 'MAXLEN', '~', max_length, '*', 'outcome', ARGV[i])
  redis.call('PUBLISH', stream, ARGV[i])
end
