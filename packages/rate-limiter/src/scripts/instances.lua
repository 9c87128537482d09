-- Announces an instance, and tells how many there are and whether the server has lost data since.
--
-- KEYS  1 sorted set of instances (score: until when each counts, ms), 2 hash: epoch, beats
-- ARGV  1 instance, 2 ms that it counts, 3 an id for a new epoch
-- Reply {instances, this one's rank from 0, epoch, beats}: another epoch means that all was lost; fewer beats than
--       before, that a server took over which had not heard of the latest.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('HSETNX', KEYS[2], 'epoch', ARGV[3])
local beats = redis.call('HINCRBY', KEYS[2], 'beats', 1)
redis.call('PEXPIRE', KEYS[2], 86400000)
-- By name, not by time: the order must be the same in the eyes of all.
local names = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(names)
local rank = 0
for place, name in ipairs(names) do
  if name == ARGV[1] then rank = place - 1 end
end
return { #names, rank, redis.call('HGET', KEYS[2], 'epoch'), beats }
