-- Releases a lock that the token still holds; leaves that of a later holder alone.
--
-- KEYS  1 string of the lock
-- ARGV  1 token
-- Reply 1, or 0 if the token no longer held it
local held = redis.pcall('GET', KEYS[1])
if type(held) ~= 'string' or string.sub(held, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return 0 end
return redis.call('DEL', KEYS[1])
