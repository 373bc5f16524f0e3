-- luacheck: read globals redis KEYS ARGV
--
-- Counts on the server, so that what is only counted does not travel.
--
-- KEYS: a stream.
-- ARGV: from which id, up to which, how many entries at most.
-- Returns how many entries there are, and the id of the last of them, '' if there are none.

local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
return {#found, #found > 0 and found[#found][1] or ''}
