-- Removes a thread, and leaves a note of it, so that a write from before is not taken for a new thread. Behind
-- head.lua.
--
-- KEYS  1 hash of the thread, as thread.lua tells   2 the owner's threads by last change   3 the same by end
--       4 hash of the owner
-- ARGV  1 now in ms for tests, '' for the server's clock   2 token of this deletion
--       3 generation known when it was accepted, '' for one of now   4 ms for which the note stays
--       5 name of the thread in the sorted sets
-- Reply {1 if there was a thread, generation after it}
local thread = KEYS[1]
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function whole(number) return string.format('%.0f', number) end
local meta = redis.call('HMGET', thread, '_g', '_x', '_m')
local epoch, version = headFrom(meta[3])
local own = tonumber(meta[1] or 0)
local generation = own + tonumber(redis.call('HGET', KEYS[4], 'g') or 0)

-- This very deletion was done before: what is there now came after it.
local token, existed = string.match(meta[2] or '', '^(%S+) ([01])$')
if token == ARGV[2] then return { tonumber(existed), generation } end
-- Others deleted the thread that was meant.
if ARGV[3] ~= '' and generation > tonumber(ARGV[3]) then return { 0, generation } end

existed = epoch and epoch ~= '' and 1 or 0
redis.call('UNLINK', thread)
redis.call('HSET', thread, '_v', '1', '_g', whole(own + 1),
  '_m', packHead('', (version or 0) + 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ''), '_x', ARGV[2] .. ' ' .. existed)
redis.call('PEXPIRE', thread, ARGV[4])
redis.call('ZREM', KEYS[2], ARGV[5])
-- An erasure of the owner finds it there.
redis.call('ZADD', KEYS[3], whole(now + tonumber(ARGV[4])), ARGV[5])
if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[3], ARGV[4]) end
return { existed, generation + 1 }
