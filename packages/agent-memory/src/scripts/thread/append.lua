-- Appends messages, each once, at gapless seqs; all of them or none. After thread.lua and records.lua.
--
-- ARGV  8 version that the thread must have, '' for any   9 fence, '' for none
--       10 maximum of messages of a thread  11 of its bytes  12 of the owner's threads; 0 for no limit
--       13 … messages, no id twice
-- Reply {'stored' or 'duplicate', …, newest seq before, seq, …}, {'conflict', …, id}, {'changed', …, newest},
--       {'fenced', …}, {'full', …, limit}
local messages = messagesFrom(13)
if ARGV[9] ~= '' and tonumber(ARGV[9]) < tonumber(redis.call('HGET', thread, '_f') or 0) then
  return reply('fenced')
end

-- All messages are checked before any is stored.
local fresh, size, names = 0, 0, {}
for index, message in ipairs(messages) do names[index] = '#' .. ARGV[message.at] end
local places = redis.call('HMGET', thread, unpack(names))
for index, message in ipairs(messages) do
  local seq, digest = find(ARGV[message.at], places[index])
  if seq then
    if digest ~= ARGV[message.at + 3] then return reply('conflict', ARGV[message.at]) end
    message.seq = seq
  else
    fresh, size = fresh + 1, size + #ARGV[message.at + 4]
  end
end
local before, pins = newest, false
if fresh > 0 then
  -- After the search for duplicates, so that the retry of a conditional append that was stored is a duplicate.
  if ARGV[8] ~= '' and tonumber(ARGV[8]) ~= version then return reply('changed', newest) end
  local most, mostBytes, mostThreads = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
  if most > 0 and count + fresh > most then return reply('full', 'messages') end
  if mostBytes > 0 and bytes + size > mostBytes then return reply('full', 'bytes') end
  if mostThreads > 0 and not exists and ownerIsFull(mostThreads) then return reply('full', 'threads') end
end
for _, message in ipairs(messages) do
  if not message.seq then pins = place(message) or pins end
end
if fresh > 0 then
  remember(whole(before))
  save(pins)
end
local answer = reply(fresh > 0 and 'stored' or 'duplicate', before)
for _, message in ipairs(messages) do answer[#answer + 1] = message.seq end
return answer
