-- Counts what is left of an owner from before its latest erasure. After head.lua.
--
-- KEYS  1 the owner's threads by last change   2 the same by end   3 hash of the owner, as erase.lua describes
--       4 threads that are to be removed   5 the owner's threads with drafts   6 what can be recalled
-- ARGV  1 prefix of the keys of threads   2 prefix of the keys of drafts
-- Reply number of threads, drafts and sets of recalled items from before that are left, among the oldest 100 of each
--- @include "draft"
local owner = redis.call('HMGET', KEYS[3], 'e', 'g')
if not owner[1] then return 0 end
local left, erasedAt, generation = redis.call('ZCARD', KEYS[4]), tonumber(owner[1]), tonumber(owner[2])
-- Threads from before the erasure were changed before it, so they come first in the sets.
for index = 1, 2 do
  for _, name in ipairs(redis.call('ZRANGE', KEYS[index], 0, 99)) do
    local packed = redis.call('HGET', ARGV[1] .. name, '_m')
    local _, _, _, _, _, _, _, _, _, created = headFrom(packed)
    if created and created <= erasedAt then left = left + 1 end
  end
end
for _, name in ipairs(redis.call('ZRANGE', KEYS[5], 0, 99)) do
  for _, draft in ipairs(redis.call('HVALS', ARGV[2] .. name)) do
    local _, _, _, since = draftFrom(draft)
    if since and tonumber(since) < generation then left = left + 1 end
  end
end
local recalled = tonumber(redis.call('HGET', KEYS[6], ':g') or 0)
if redis.call('EXISTS', KEYS[6]) == 1 and recalled < generation then left = left + 1 end
-- If nothing is left, the time of the erasure is no longer needed to tell old threads from new ones.
if left == 0 then redis.call('HDEL', KEYS[3], 'e') end
return left
