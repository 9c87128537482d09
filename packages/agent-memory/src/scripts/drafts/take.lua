-- Takes over a draft whose writer has been silent.
--
-- KEYS  1 hash of the owner's drafts, as draft-write.lua tells
-- ARGV  1 name of the draft   2 token of the new writer   3 ms of silence
-- Reply 'taken', 'alive', or 'gone'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then return 'gone' end
local token, at = string.match(known, '^([^|]*)|(%d+)$')
if token == ARGV[2] then return 'taken' end
if now - tonumber(at) < tonumber(ARGV[3]) then return 'alive' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '|' .. string.format('%.0f', now))
return 'taken'
