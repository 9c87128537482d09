-- Decides and charges one limit of one subject, for a call that is alone in its turn of the event loop. It does the
-- same as `decide` of decide.lua, in a short script: a script of that length spends a third of the server's time before
-- its first operation.
--
-- KEYS  of the cell, as many as its kind has
-- ARGV  1 now in ms for tests, 0 for the server's own clock, 2 limit, 3 a, 4 b, 5 cost
-- Reply as of decide.lua with one `decide`
local _, kind = next(kinds)
local cell = {
  kind = kind, limit = tonumber(ARGV[2]), a = tonumber(ARGV[3]), b = tonumber(ARGV[4]),
  key = KEYS[1], key2 = KEYS[2], key3 = KEYS[3],
}
kind.load(cell)
decideOne(cell, tonumber(ARGV[5]))
if cell.dirty then kind.save(cell) end
return reply
