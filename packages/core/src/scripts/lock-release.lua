-- Gives a lock back if it is still the token's; a successor's is left alone.
--
-- KEYS  1 string of the lock
-- ARGV  1 token
-- Reply 1, or 0 when it was not the token's any more
local held = redis.pcall('GET', KEYS[1])
if type(held) ~= 'string' or string.sub(held, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return 0 end
return redis.call('DEL', KEYS[1])
