-- Removes a thread, and leaves a note of it, so that a write from before is not taken for a new thread.
--
-- KEYS  1 hash of the thread, as append.lua keeps it
-- ARGV  1 token of this deletion  2 generation known when it was accepted, '' for one of now
--       3 ms for which the note stays
-- Reply {1 if there was a thread, generation after it}
local thread = KEYS[1]
local meta = redis.call('HMGET', thread, '_g', '_x', '_t', '_ver')
local generation = tonumber(meta[1] or 0)

-- This very deletion was done before: what is there now came after it.
local token, existed = string.match(meta[2] or '', '^(%S+) ([01])$')
if token == ARGV[1] then return { tonumber(existed), generation } end
-- Others deleted the thread that was meant.
if ARGV[2] ~= '' and generation > tonumber(ARGV[2]) then return { 0, generation } end

existed = meta[3] and 1 or 0
redis.call('UNLINK', thread)
redis.call('HSET', thread, '_v', '1', '_g', string.format('%.0f', generation + 1),
  '_ver', string.format('%.0f', tonumber(meta[4] or 0) + 1), '_x', ARGV[1] .. ' ' .. existed)
redis.call('PEXPIRE', thread, ARGV[3])
return { existed, generation + 1 }
