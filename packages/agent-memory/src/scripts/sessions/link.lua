-- Notes that a session is one of a user's.
--
-- KEYS  1 sorted set of the user's sessions, by the ms until which they live at least
-- ARGV  1 name of the session   2 ms until its end
-- Reply 1
--- @include "clock"
local left = tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], string.format('%.0f', now() + left), ARGV[1])
-- An end that moves is noted when it has moved by a tenth, so the note must live longer.
if redis.call('PTTL', KEYS[1]) < 2 * left then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', 2 * left)) end
return 1
