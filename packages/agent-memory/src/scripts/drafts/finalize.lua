-- Appends the message of a draft, and ends the draft, in one step. After thread.lua and records.lua.
--
-- KEYS  5 stream and 6 hash of the draft, as write.lua describes
-- ARGV  8 token of the writer   9 number of the end   10 name of the draft   11 id of the message that another
--       writer makes of the draft if it takes it over   12 … the message
-- Reply {'stored' or 'duplicate', …, newest seq before, seq}, {'conflict', …, id}, {'fenced', …}, {'deleted', …}
--- @include "draft"
local message = messagesFrom(12)[1]
local known = redis.call('HGET', KEYS[6], ARGV[10])
local holder, _, began, since = draftFrom(known)
if since and tonumber(since) < generation then return reply('deleted') end
local seq, digest = find(ARGV[message.at])
if seq then
  if digest ~= ARGV[message.at + 3] then return reply('conflict', ARGV[message.at]) end
  return reply('duplicate', newest, seq)
end
if holder and holder ~= ARGV[8] then return reply('fenced') end
-- If the draft is forgotten, the message that another writer made of it still shows that it was taken over.
if not holder and redis.call('HEXISTS', thread, '#' .. ARGV[11]) == 1 then return reply('fenced') end
local before = newest
local pins = place(message)
if holder then
  redis.pcall('XADD', KEYS[5], ARGV[9] .. '-0', 'e', '')
  redis.call('HSET', KEYS[6], ARGV[10], table.concat({ holder, whole(now), began, since, 'e' }, '|'))
  redis.call('PEXPIRE', KEYS[5], 60000)
end
save(pins)
return reply('stored', before, message.seq)
