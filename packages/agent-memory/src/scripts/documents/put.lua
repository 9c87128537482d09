-- Writes documents of one namespace, or removes them.
--
-- KEYS  1 hash of the namespace's documents: key, created ms blank number blank updated ms blank JSON; numbers rise with
--         each new document in any namespace of the store
--       2 sorted set of namespaces, all of score 0   3 the latest number
-- ARGV  1 name of the namespace   2 … keys and values: + and JSON, or - to remove
-- Reply 1
--- @include "clock"
--- @include "whole"
local now = whole(now())
for index = 2, #ARGV, 2 do
  local key, value = ARGV[index], ARGV[index + 1]
  if value == '-' then
    redis.call('HDEL', KEYS[1], key)
  else
    local known = redis.call('HGET', KEYS[1], key)
    local created = known and string.match(known, '^%d+ %d+') or (now .. ' ' .. redis.call('INCR', KEYS[3]))
    redis.call('HSET', KEYS[1], key, created .. ' ' .. now .. ' ' .. string.sub(value, 2))
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
else
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return 1
