-- Ends an epoch, if it is still the present one, and begins the next.
--
-- KEYS  1 hash of the class  2 hash of the epoch's audits
-- ARGV  1 epoch that ends  2 policy of the next one  3 ttl in ms
-- Reply 1 if this call ended it
if tonumber(redis.call('HGET', KEYS[1], 'epoch') or 1) ~= tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('UNLINK', KEYS[2])
redis.call('HSET', KEYS[1], 'epoch', tonumber(ARGV[1]) + 1, 'policy', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
