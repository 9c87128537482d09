-- Replaces the newest messages by others, if they are those that the caller expects. After thread.lua and
-- records.lua.
--
-- ARGV  8 number of messages to replace, their ids and digests in order; then the new messages
-- Reply {'done', …, newest seq before, seq, …}, {'conflict', …} if the thread ends with other messages,
--       {'taken', …, id} if another message has the id of a new one
local most = tonumber(ARGV[8])
local seq, found = newest, {}
for index = most, 1, -1 do
  local record
  while seq >= 1 and seq > newest - 1000000 and not record do
    record = redis.call('HGET', thread, whole(seq))
    seq = seq - 1
  end
  if not record then return reply('conflict') end
  local head = lineOf(record)
  local digest = ARGV[8 + 2 * index]
  if head[1] ~= ARGV[7 + 2 * index] or (digest ~= '' and digest ~= head[8]) then return reply('conflict') end
  found[#found + 1] = { seq = seq + 1, record = record, id = head[1] }
end

local goes = {}
for _, one in ipairs(found) do goes[one.id] = true end
local messages = messagesFrom(9 + 2 * most)
for _, message in ipairs(messages) do
  local id = ARGV[message.at]
  if not goes[id] and redis.call('HEXISTS', thread, '#' .. id) == 1 then return reply('taken', id) end
end
local before, seqs = newest, {}
for _, one in ipairs(found) do drop(one.seq, one.record) end
for _, message in ipairs(messages) do
  place(message)
  seqs[#seqs + 1] = message.seq
end
remember(table.concat(seqs, ' '))
save(true)
return reply('done', before, unpack(seqs))
