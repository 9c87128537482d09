-- Takes over a draft whose writer has been silent.
--
-- KEYS  1 hash of the thread's drafts, as write.lua describes
-- ARGV  1 name of the draft   2 token of the new writer   3 ms of silence
-- Reply 'taken', 'alive', or 'gone'
--- @include "clock"
--- @include "draft"
--- @include "whole"
local now = now()
local known = redis.call('HGET', KEYS[1], ARGV[1])
local token, at, began, since, state = draftFrom(known)
if state ~= 'o' then return 'gone' end
if token == ARGV[2] then return 'taken' end
if now - tonumber(at) < tonumber(ARGV[3]) then return 'alive' end
redis.call('HSET', KEYS[1], ARGV[1], table.concat({ ARGV[2], whole(now), began, since, 'o' }, '|'))
return 'taken'
