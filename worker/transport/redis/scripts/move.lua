-- luacheck: read globals redis KEYS ARGV
--
-- Moves what is held to where it is fetched from, or set aside.
--
-- KEYS: unacked, unacked_index, then lists.
-- ARGV for every entry: tag, score and SHA-1 of the entry as they were seen, the item
-- that it becomes, how many lists to put that in, and their numbers. Without a SHA-1
-- the entry was seen to be missing, and its index is tidied up.
-- Returns how many moved.
--
-- An entry moves only if it still is what was seen: one that was acknowledged,
-- renewed or moved in the meantime stays as it is; so does one that its list, being
-- something else than a list, does not take.

redis.call('ZREM', KEYS[2], '')
local moved, i = 0, 1
while i <= #ARGV do
  local tag, score, sha, item, lists = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local entry = redis.call('HGET', KEYS[1], tag)
  local seen = entry and redis.sha1hex(entry) or ''
  if seen == sha and redis.call('ZSCORE', KEYS[2], tag) == score then
    local refused = false
    for n = 1, lists do
      local pushed = redis.pcall('RPUSH', KEYS[ARGV[i + 4 + n] + 2], item)
      refused = refused or type(pushed) == 'table'
    end
    if not refused then
      redis.call('ZREM', KEYS[2], tag)
      redis.call('HDEL', KEYS[1], tag)
      moved = moved + 1
    end
  end
  i = i + 5 + lists
end
return moved
