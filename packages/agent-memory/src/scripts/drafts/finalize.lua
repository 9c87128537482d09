-- Appends the message that a draft came to, and ends the draft, in one step. Behind thread.lua and records.lua.
--
-- KEYS  5 stream and 6 hash of the draft, as draft-write.lua tells
-- ARGV  8 token of the writer   9 number of the end   10 name of the draft   11 … the message
-- Reply {'stored' or 'duplicate', …, newest seq before, seq}, {'conflict', …, id}, {'fenced', …}
local message = messagesFrom(11)[1]
local seq, digest = find(ARGV[message.at])
if seq then
  if digest ~= ARGV[message.at + 3] then return reply('conflict', ARGV[message.at]) end
  return reply('duplicate', newest, seq)
end
local known = redis.call('HGET', KEYS[6], ARGV[10])
if known and string.match(known, '^[^|]*') ~= ARGV[8] then return reply('fenced') end
local before = newest
local pins = place(message)
if known then
  redis.pcall('XADD', KEYS[5], ARGV[9] .. '-0', 'e', '')
  redis.call('HDEL', KEYS[6], ARGV[10])
  redis.call('PEXPIRE', KEYS[5], 60000)
end
save(pins)
return reply('stored', before, message.seq)
