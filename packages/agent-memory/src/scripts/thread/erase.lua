-- Erases threads of an owner, some at a time; writes from before bring none of them back. Behind head.lua.
--
-- KEYS  1 the owner's threads by last change   2 the same by end   3 hash of the owner   4 … hashes of threads
-- ARGV  1 1 for the first call of an erasure   2 ms for which it is remembered   3 … names of the threads
-- Reply {threads that were there, their messages, bytes of them}
-- The owner's generation takes a step that no thread's own deletions reach, so that the sum of both rises
-- although the threads' part of it is gone.
if ARGV[1] == '1' then
  redis.call('HINCRBY', KEYS[3], 'g', 1000000)
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
end
local threads, messages, bytes = 0, 0, 0
for index = 4, #KEYS do
  local epoch, _, _, _, count, _, size = headFrom(redis.call('HGET', KEYS[index], '_m'))
  if epoch and epoch ~= '' then
    threads = threads + 1
    messages = messages + count
    bytes = bytes + size
  end
  redis.call('UNLINK', KEYS[index])
  redis.call('ZREM', KEYS[1], ARGV[index - 1])
  redis.call('ZREM', KEYS[2], ARGV[index - 1])
end
return { threads, messages, bytes }
