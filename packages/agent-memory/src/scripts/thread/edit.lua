-- Replaces the body of a message. After thread.lua and records.lua.
--
-- ARGV  8 revision that it must have, '' for any   9 … the message, whose tool calls and results stay the same
-- Reply {'done', …, seq, revision}, {'missing', …}, {'conflict', …, seq, revision}, {'calls', …} if its
--       tool calls or results would change
local message = messagesFrom(9)[1]
local at = message.at
local seq, first, record = find(ARGV[at])
if not record then return reply('missing') end
local head, start = lineOf(record)
if ARGV[8] ~= '' and ARGV[8] ~= head[7] then return reply('conflict', seq, tonumber(head[7])) end
if head[8] == ARGV[at + 3] then return reply('done', seq, tonumber(head[7])) end

local opens, answers = {}, {}
for index = at + 7, at + 6 + message.opens do opens[#opens + 1] = ARGV[index] end
for index = at + 7 + message.opens, at + 6 + message.opens + message.answers do
  answers[#answers + 1] = ARGV[index]
end
local known = string.gsub(head[10], '@%d*', '')
if table.concat(opens, ',') ~= head[9] or table.concat(answers, ',') ~= known then return reply('calls') end

local body = ARGV[at + 4]
tokens = tokens - tonumber(head[3]) + tonumber(ARGV[at + 2])
bytes = bytes - (#record - start + 1) + #body
local revision = tonumber(head[7]) + 1
head[2], head[3], head[7], head[8] = ARGV[at + 1], ARGV[at + 2], whole(revision), ARGV[at + 3]
redis.call('HSET', thread, whole(seq), table.concat(head, '|') .. '\n' .. body,
  '#' .. head[1], whole(seq) .. '.' .. first)
remember(whole(seq) .. ' ' .. whole(revision))
save(true)
return reply('done', seq, revision)
