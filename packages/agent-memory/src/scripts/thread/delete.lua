-- Removes a thread, and leaves a tombstone, so that a write from before does not begin a new thread. After head.lua.
--
-- KEYS  1 hash of the thread, as thread.lua describes   2 the owner's threads by last change   3 the same by end
--       4 hash of the owner   5 hash of the thread's drafts, as drafts/write.lua describes
-- ARGV  1 now in ms for tests, '' for the server's clock   2 token of this deletion
--       3 generation known when it was accepted, '' for one accepted now   4 ms for which the tombstone stays
--       5 name of the thread in the sorted sets
-- Reply {1 if there was a thread, generation after it}
local thread = KEYS[1]
local now = now(ARGV[1])
local meta = redis.call('HMGET', thread, '_g', '_x', '_m')
local epoch, version, _, _, _, _, _, _, _, made = headFrom(meta[3])
local erasedAt = tonumber(redis.call('HGET', KEYS[4], 'e') or -1)
-- A thread from before the owner's erasure is gone, even if it is not removed yet.
if made and made <= erasedAt then epoch, meta = nil, {} end
local own = tonumber(meta[1] or 0)
local generation = own + tonumber(redis.call('HGET', KEYS[4], 'g') or 0)

-- This deletion was done before: a thread that exists now was made after it.
local token, existed = string.match(meta[2] or '', '^(%S+) ([01])$')
if token == ARGV[2] then return { tonumber(existed), generation } end
-- The thread that the caller meant was deleted by others.
if ARGV[3] ~= '' and generation > tonumber(ARGV[3]) then return { 0, generation } end

existed = epoch and epoch ~= '' and 1 or 0
redis.call('UNLINK', thread)
for _, draft in ipairs(redis.call('HKEYS', KEYS[5])) do redis.call('UNLINK', KEYS[5] .. ':' .. draft) end
redis.call('UNLINK', KEYS[5])
redis.call('HSET', thread, '_v', '1', '_g', whole(own + 1),
  '_m', packHead('', (version or 0) + 1, 0, 0, 0, 0, 0, 0, 0,
    math.max(now, erasedAt + 1), now, 0, ''), '_x', ARGV[2] .. ' ' .. existed)
redis.call('PEXPIRE', thread, ARGV[4])
redis.call('ZREM', KEYS[2], ARGV[5])
-- An erasure of the owner finds the tombstone in this set.
redis.call('ZADD', KEYS[3], whole(now + tonumber(ARGV[4])), ARGV[5])
if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[3], ARGV[4]) end
return { existed, generation + 1 }
