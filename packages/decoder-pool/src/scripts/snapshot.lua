-- The whole registry as of one moment.
--
-- KEYS  as put.lua
-- ARGV  1 an epoch to begin with where there is none
-- Reply {epoch, version, {id, 'revision json', …}, {id, ms since its lease ended, …}, {removed id, revision, …}}
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1])
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'version')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expired = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'WITHSCORES')
for index = 2, #expired, 2 do expired[index] = now - tonumber(expired[index]) end
return {
  meta[1],
  tonumber(meta[2] or 0),
  redis.call('HGETALL', KEYS[2]),
  expired,
  redis.call('HGETALL', KEYS[5]),
}
