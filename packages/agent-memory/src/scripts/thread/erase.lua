-- Erases threads of an owner, some at a time. From the first call on all that there was is gone for every reader and
-- writer, though most of it is still to be removed: the owner's hash tells when. What is written meanwhile is new, and
-- stays. Behind head.lua.
--
-- KEYS  1 the owner's threads by last change   2 the same by end   3 hash of the owner   4 threads to remove, a
--       sorted set   5 the owner's threads with drafts   6 kept lists, as threads.lua tells   7 what can be
--       recalled, hash   8 the same, vectors
-- ARGV  1 now in ms for tests, '' for the server's clock   2 1 for the first call of an erasure   3 ms for which it is
--       remembered   4 most threads to remove now   5 what keys of threads begin with   6 what keys of drafts begin with
--       7 what keys of kept lists begin with
-- Reply {1 when something is left to remove, threads that went, their messages, bytes of them}
-- Fields of the owner's hash: g generation, which takes a step that no thread's own deletions reach   e ms of the
-- latest erasure   c, m, b threads, messages and bytes that writers removed since
--- @include "draft"
local now = now(ARGV[1])
local owner = KEYS[3]
-- Drafts of a thread that began before the erasure.
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
  -- Until all is removed the note must outlive the threads.
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
