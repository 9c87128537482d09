-- Puts a thread of a backup in its place, after all of it was sent under another key. After head.lua.
--
-- KEYS  1 to 4 as in thread.lua   5 hash with the thread's fields except its head
-- ARGV  1 ms until its end   2 name of the thread in the sorted sets
--       3 … the head: epoch, version, newest, count, tokens, bytes, passed, turn, created, changed, pinned
-- Reply 1, or 0 if there is a thread
local there = redis.call('HMGET', KEYS[1], '_m', '_g')
local epoch, lasting = headFrom(liveHead(there[1], KEYS[4]))
if epoch and epoch ~= '' then
  redis.call('UNLINK', KEYS[5])
  return 0
end
redis.call('RENAME', KEYS[5], KEYS[1])
local ends = now() + tonumber(ARGV[1])
-- Readers of the former state read all of it again.
local version = ARGV[4] + (lasting or 0)
-- The thread must be younger than an erasure of the owner, or it would count as erased.
local created = math.max(tonumber(ARGV[11]), tonumber(redis.call('HGET', KEYS[4], 'e') or -1) + 1)
redis.call('HSET', KEYS[1], '_m', packHead(ARGV[3], version, version, ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9],
  ARGV[10], created, ARGV[12], ends, ARGV[13]))
if lasting and there[2] then redis.call('HSET', KEYS[1], '_g', there[2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[12], ARGV[2])
redis.call('ZADD', KEYS[3], string.format('%.0f', ends), ARGV[2])
for index = 2, 3 do
  if redis.call('PTTL', KEYS[index]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[index], ARGV[1]) end
end
return 1
