-- Announces an instance, and returns how many there are, whether the server has lost data since, and whether another
-- instance has other limits under the same name.
--
-- KEYS  1 sorted set of instances (score: until when each counts, ms), 2 hash: epoch, beats, limits and who has them,
--       3 sorted set of the same instances by name (score: 0), so that a rank is found without reading them all
-- ARGV  1 instance, 2 ms that it counts, 3 an id for a new epoch, 4 its limits: a JSON array (src/limit-list.ts)
-- Reply {instances, this one's rank from 0, epoch, beats, other limits or ''}: another epoch means that all data was
--       lost; fewer beats than before mean that a server without the latest writes took over.
--- @include "clock"
local at = now()
redis.call('ZADD', KEYS[1], at + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', at)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('HSETNX', KEYS[2], 'epoch', ARGV[3])
local beats = redis.call('HINCRBY', KEYS[2], 'beats', 1)
-- Ranks are by name, because the order must be the same for all instances. If KEYS[1] and KEYS[3] have the same size,
-- they hold the same names; otherwise an instance has gone, or KEYS[3] was lost.
redis.call('ZADD', KEYS[3], 0, ARGV[1])
local count = redis.call('ZCARD', KEYS[1])
if redis.call('ZCARD', KEYS[3]) ~= count then
  redis.call('DEL', KEYS[3])
  for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[3], 0, name) end
end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
local rank = redis.call('ZRANK', KEYS[3], ARGV[1])
local known = redis.call('HMGET', KEYS[2], 'limits', 'limitsOf')
local other = ''
if known[1] and known[1] ~= ARGV[4] and known[2] ~= ARGV[1] and redis.call('ZSCORE', KEYS[1], known[2]) then
  other = known[1]
end
if known[1] ~= ARGV[4] then redis.call('HSET', KEYS[2], 'limits', ARGV[4], 'limitsOf', ARGV[1]) end
redis.call('PEXPIRE', KEYS[2], 86400000)
return { count, rank, redis.call('HGET', KEYS[2], 'epoch'), beats, other }
