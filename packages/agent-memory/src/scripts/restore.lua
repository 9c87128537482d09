-- Puts a thread of a backup in its place, when all of it has been sent under another name.
--
-- KEYS  1 to 4 as in thread.lua   5 hash with the thread's fields
-- ARGV  1 ms until its end   2 name of the thread in the sorted sets   3 when it last changed, ms
-- Reply 1, or 0 when there is a thread
if redis.call('HEXISTS', KEYS[1], '_e') == 1 then
  redis.call('UNLINK', KEYS[5])
  return 0
end
local meta = redis.call('HMGET', KEYS[1], '_g', '_ver')
redis.call('RENAME', KEYS[5], KEYS[1])
if meta[1] then redis.call('HSET', KEYS[1], '_g', meta[1]) end
redis.call('HINCRBY', KEYS[1], '_ver', meta[2] or '0')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
redis.call('ZADD', KEYS[3], string.format('%.0f', ends), ARGV[2])
for index = 2, 3 do
  if redis.call('PTTL', KEYS[index]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[index], ARGV[1]) end
end
return 1
