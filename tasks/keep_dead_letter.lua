-- luacheck: read globals redis unpack KEYS ARGV
--
-- Keeps a dead letter.
--
-- KEYS: their stream.
-- ARGV: '1' if it may write above the server's memory limit, else ''; then the names
-- and values of the entry's fields, in turn.
-- Returns nothing.
--
-- What has written before is not refused at the limit: so it trims, of which nothing comes.

if ARGV[1] == '1' then redis.call('XTRIM', KEYS[1], 'MINID', 0) end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
