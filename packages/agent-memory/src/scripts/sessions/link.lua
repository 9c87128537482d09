-- Adds a session to a user's sessions.
--
-- KEYS  1 sorted set of the user's sessions, by the ms until which they live at least
-- ARGV  1 name of the session   2 ms until its end
-- Reply 1
--- @include "clock"
local left = tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], string.format('%.0f', now() + left), ARGV[1])
-- A session's end is recorded here only when it has moved by a tenth, so this set must live longer.
if redis.call('PTTL', KEYS[1]) < 2 * left then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', 2 * left)) end
return 1
