-- Makes a thread contain the given messages: new ones are appended, changed ones are edited in place, and removed ones
-- come back. After thread.lua and records.lua.
--
-- ARGV  8 and 9 first and last seq between which all other messages are removed; '' and '' to remove none, a first
--       seq of 0 for that of the first given message that exists
--       10 maximum of messages of a thread   11 of its bytes   12 of the owner's threads; 0 for no limit
--       13 … messages, no id twice
-- Reply {'done', …, newest seq before, number of removed messages, number of messages, their seqs, places from 1 of
--       those that are new or have another body now}, {'full', …, limit}
local messages = messagesFrom(13)
local removes, before = ARGV[8] ~= '', newest
local names = {}
for index, message in ipairs(messages) do names[index] = '#' .. ARGV[message.at] end
local places = redis.call('HMGET', thread, unpack(names))

-- Existing messages stay where they are. If messages are removed, the thread gets the given order: an existing message
-- that is given after a new one, or out of order, moves to the end.
local fresh, size, last, first, moves = 0, 0, 0, nil, false
for index, message in ipairs(messages) do
  local seq, _, record = find(ARGV[message.at], places[index])
  if record then
    first = first and math.min(first, seq) or seq
    message.there, message.record = seq, record
    if moves or (removes and seq < last) then
      moves = true
      message.moves = true
    else
      last = seq
    end
    size = size - sizeOf(record)
  else
    fresh = fresh + 1
    if removes then moves = true end
  end
  size = size + #ARGV[message.at + 4]
end

local gone = {}
if removes then
  local given = {}
  for _, message in ipairs(messages) do
    if message.there then given[message.there] = true end
  end
  local from, upTo = tonumber(ARGV[8]), math.min(tonumber(ARGV[9]), newest)
  if from == 0 then from = first or newest + 1 end
  for seq = math.max(from, upTo - 1000000), upTo do
    local record = not given[seq] and redis.call('HGET', thread, whole(seq))
    if record then
      gone[#gone + 1] = { seq = seq, record = record }
      size = size - sizeOf(record)
    end
  end
end

local most, mostBytes, mostThreads = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
if fresh > 0 and most > 0 and count + fresh - #gone > most then return reply('full', 'messages') end
if size > 0 and mostBytes > 0 and bytes + size > mostBytes then return reply('full', 'bytes') end
if fresh > 0 and mostThreads > 0 and not exists and ownerIsFull(mostThreads) then return reply('full', 'threads') end

local changes, rewrites = fresh > 0, #gone > 0
for _, one in ipairs(gone) do drop(one.seq, one.record) end
for _, message in ipairs(messages) do
  if message.moves then
    drop(message.there, message.record)
    rewrites = true
  end
end
local altered = {}
for index, message in ipairs(messages) do
  local isOther = not message.there or lineOf(message.record)[8] ~= ARGV[message.at + 3]
  if isOther then altered[#altered + 1] = index end
  if message.there and not message.moves then
    message.seq = message.there
    if isOther then
      rewrite(message, message.there, message.record)
      rewrites = true
    end
  else
    if place(message) then rewrites = true end
  end
end
local seqs = {}
for _, message in ipairs(messages) do seqs[#seqs + 1] = message.seq end
local outcome = table.concat({ whole(before), #gone, #seqs, table.concat(seqs, ' '), table.concat(altered, ' ') }, ' ')
if changes or rewrites then
  remember(outcome)
  save(rewrites)
end
local answer = reply('done', before, #gone, #seqs)
for _, seq in ipairs(seqs) do answer[#answer + 1] = seq end
for _, index in ipairs(altered) do answer[#answer + 1] = index end
return answer
