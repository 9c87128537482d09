-- Erases threads of an owner, some at a time. From the first call on, no reader or writer sees them any more, although
-- most are still to be removed: the time of the erasure is in the owner's hash. Threads that are written meanwhile are
-- new, and stay. After head.lua.
--
-- KEYS  1 the owner's threads by last change   2 the same by end   3 hash of the owner   4 threads to remove, a
--       sorted set   5 the owner's threads with drafts   6 kept lists, as threads.lua describes   7 what can be
--       recalled, hash   8 the same, vectors
-- ARGV  1 now in ms for tests, '' for the server's clock   2 1 for the first call of an erasure   3 ms for which it is
--       remembered   4 maximum of threads to remove now   5 prefix of the keys of threads   6 prefix of the keys of
--       drafts   7 prefix of the keys of kept lists
-- Reply {1 if something is left to remove, removed threads, their messages, their bytes}
-- Fields of the owner's hash: g generation, which grows by a step that no thread's own deletions reach   e ms of the
-- latest erasure   c, m, b threads, messages and bytes that writers removed since
--- @include "draft"
local now = now(ARGV[1])
local owner = KEYS[3]
-- Removes a thread's drafts that began before the erasure.
local function dropDrafts(name)
  local drafts, generation = ARGV[6] .. name, tonumber(redis.call('HGET', owner, 'g'))
  local all = redis.call('HGETALL', drafts)
  for index = 1, #all, 2 do
    local _, _, _, since = draftFrom(all[index + 1])
    if not since or tonumber(since) < generation then
      redis.call('UNLINK', drafts .. ':' .. all[index])
      redis.call('HDEL', drafts, all[index])
    end
  end
end
if ARGV[2] == '1' then
  redis.call('HINCRBY', owner, 'g', 1000000)
  redis.call('HSET', owner, 'e', string.format('%.0f', now), 'c', '0', 'm', '0', 'b', '0')
  redis.call('ZUNIONSTORE', KEYS[4], 4, KEYS[4], KEYS[1], KEYS[2], KEYS[5], 'AGGREGATE', 'MAX')
  -- Until all is removed, the owner's hash must outlive the threads.
  redis.call('PEXPIRE', owner, math.max(tonumber(ARGV[3]), redis.call('PTTL', KEYS[2]), redis.call('PTTL', owner)))
  redis.call('PEXPIRE', KEYS[4], math.max(tonumber(ARGV[3]), redis.call('PTTL', KEYS[2])))
  for _, list in ipairs(redis.call('ZRANGE', KEYS[6], 0, -1)) do redis.call('UNLINK', ARGV[7] .. list) end
  redis.call('UNLINK', KEYS[5], KEYS[6], KEYS[7], KEYS[8])
end
local erasedAt = tonumber(redis.call('HGET', owner, 'e') or 0)
local threads, messages, bytes = 0, 0, 0
local names = redis.call('ZRANGE', KEYS[4], 0, tonumber(ARGV[4]) - 1)
for _, name in ipairs(names) do
  local thread = ARGV[5] .. name
  local epoch, _, _, _, count, _, size, _, _, created = headFrom(redis.call('HGET', thread, '_m'))
  local isNew = epoch and epoch ~= '' and created > erasedAt
  if not isNew then
    if epoch and epoch ~= '' then
      threads, messages, bytes = threads + 1, messages + count, bytes + size
    end
    redis.call('UNLINK', thread)
    redis.call('ZREM', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
  end
  dropDrafts(name)
  redis.call('ZREM', KEYS[4], name)
end
local left = redis.call('EXISTS', KEYS[4])
if left == 0 then
  local own = redis.call('HMGET', owner, 'c', 'm', 'b')
  threads, messages = threads + tonumber(own[1] or 0), messages + tonumber(own[2] or 0)
  bytes = bytes + tonumber(own[3] or 0)
  redis.call('HDEL', owner, 'c', 'm', 'b')
  redis.call('PEXPIRE', owner, ARGV[3])
end
return { left, threads, messages, bytes }
