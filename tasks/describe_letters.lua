-- luacheck: read globals redis KEYS ARGV
--
-- Describes dead letters without what is in them, which may be megabytes of each.
--
-- KEYS: their stream.
-- ARGV: the id from which on to look back, the id behind which to stop, both left out if they
-- begin with '(', how many letters to describe at most, and after how many bytes to stop.
-- Returns a list for each letter, the newest first: its id, then names and values in turn. At
-- least one, if there is one.

local described, upper, bytes = {}, ARGV[1], 0
while #described < tonumber(ARGV[3]) and bytes < tonumber(ARGV[4]) do
  -- One by one, so that no more than one is held.
  local entry = redis.call('XREVRANGE', KEYS[1], upper, ARGV[2], 'COUNT', 1)[1]
  if not entry then break end
  local letter, fields = {entry[1]}, entry[2]
  for i = 1, #fields, 2 do
    bytes = bytes + #fields[i + 1]
    if fields[i] ~= 'raw' and fields[i] ~= 'delivery' then
      letter[#letter + 1], letter[#letter + 2] = fields[i], fields[i + 1]
    end
  end
  described[#described + 1] = letter
  upper = '(' .. entry[1]
end
return described
