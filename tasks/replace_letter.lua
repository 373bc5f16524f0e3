-- luacheck: read globals redis unpack KEYS ARGV
--
-- Puts what is left of a dead letter in its place, unless somebody else has seen to it.
--
-- KEYS: their stream.
-- ARGV: the id of the letter, then of each that is left how many values follow, and these: the
-- names and values of its fields, in turn.
-- Returns nothing.

if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return end
local at = 2
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 1, last))
  at = last + 1
end
