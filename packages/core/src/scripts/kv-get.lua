-- Reads a value with its version and remaining time to live.
--
-- KEYS  1 hash: v value, n version
-- Reply {value, version, remaining ms}, or nil if there is none
local found = redis.pcall('HMGET', KEYS[1], 'v', 'n')
-- A key of another type holds no value of this store.
if found.err or not found[1] then return false end
return { found[1], tonumber(found[2]) or 0, redis.call('PTTL', KEYS[1]) }
