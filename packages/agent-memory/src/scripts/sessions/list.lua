-- A user's sessions that are not over, the one that ends last first; those that are over go.
--
-- KEYS  1 sorted set of the user's sessions by end, ms
-- ARGV  1 now in ms for tests, '' for the server's clock
-- Reply {name, end in ms, …}, at most 1,000
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
return redis.call('ZREVRANGE', KEYS[1], 0, 999, 'WITHSCORES')
