-- luacheck: read globals redis KEYS ARGV
--
-- Tries to add to a stream what no stream takes, for its id: nothing is ever added, and any other
-- reason to refuse it is one for which nothing would be added.
--
-- KEYS: the stream.
-- ARGV: '1' if it may write above the server's memory limit, else ''.
-- Returns nothing, or the error that is about more than the id.
--
-- What has written before is not refused at the limit: so it trims, of which nothing comes.

if ARGV[1] == '1' then redis.call('XTRIM', KEYS[1], 'MINID', 0) end
local answer = redis.pcall('XADD', KEYS[1], '0-0', 'nothing', '')
if string.find(answer.err, 'must be greater than 0-0', 1, true) then return end
return answer
