-- Pins a message, so that every window contains it, or unpins it. After thread.lua and records.lua.
--
-- ARGV  8 its id   9 1 to pin, 0 to unpin   10 maximum of pinned messages
-- Reply {'done', …, seq}, {'missing', …}, {'full', …, 'pinned'}, or {'calls', …} if it makes or answers
--       tool calls, since calls and results can't be shown without each other
local seq, _, record = find(ARGV[8])
if not record then return reply('missing') end
local head = lineOf(record)
if head[9] ~= '' or head[10] ~= '' then return reply('calls') end
local seqs, was = {}, false
for other in string.gmatch(pinned, '%d+') do
  if tonumber(other) == seq then was = true else seqs[#seqs + 1] = tonumber(other) end
end
local pins = ARGV[9] == '1'
if was ~= pins then
  if pins then
    if #seqs >= tonumber(ARGV[10]) then return reply('full', 'pinned') end
    seqs[#seqs + 1] = seq
  end
  table.sort(seqs)
  pinned = table.concat(seqs, ' ')
  save(true)
end
return reply('done', seq)
