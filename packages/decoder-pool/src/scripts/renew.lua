-- Renews the lease of a registered node; never creates one.
--
-- KEYS  1 hash nodes  2 sorted set leases
-- ARGV  1 id  2 lease in ms
-- Reply 1, or 0 when the node is not registered
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], 'GT', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
return 1
