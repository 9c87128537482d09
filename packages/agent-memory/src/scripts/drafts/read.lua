-- Reads the pieces of a draft after a number.
--
-- KEYS  1 stream and 2 hash, as write.lua describes
-- ARGV  1 number   2 maximum of pieces   3 name of the draft in the hash
-- Reply {} if there is no such draft, {ms since the writer's last write, or -1 if it ended, entries}
--- @include "clock"
--- @include "draft"
local now = now()
local known = redis.call('HGET', KEYS[2], ARGV[3])
local entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])
local _, at, _, _, state = draftFrom(known)
if #entries == 0 and (not known or (state == 'e' and redis.call('EXISTS', KEYS[1]) == 0)) then return {} end
return { (not known or state == 'e') and -1 or math.max(0, now - tonumber(at)), entries }
