-- luacheck: read globals redis KEYS ARGV
--
-- Finds what is held under some tags.
--
-- KEYS: unacked, unacked_index.
-- ARGV: tags.
-- Returns the entries of those that are recorded: tag, score, entry.

local reply = {}
for _, tag in ipairs(ARGV) do
  local score = redis.call('ZSCORE', KEYS[2], tag)
  if score then
    reply[#reply + 1] = tag
    reply[#reply + 1] = score
    reply[#reply + 1] = redis.call('HGET', KEYS[1], tag)
  end
end
return reply
