-- Extends a lock that the token still holds; never takes one.
--
-- KEYS  1 string of the lock
-- ARGV  1 token  2 ttl in ms
-- Reply 1, or 0 if another token holds it, or none
local held = redis.pcall('GET', KEYS[1])
if type(held) ~= 'string' or string.sub(held, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
