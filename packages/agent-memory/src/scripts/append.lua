-- Appends messages to a thread, each once, at gapless seqs.
--
-- KEYS  1 hash of the thread
--       fields: _n count and newest seq, _v version, _s seq of the first system message, <seq> a record
--       'id role tokens group' LF body, #<id> 'seq digest', @<call> seq of the message with the open call
-- ARGV  1 ttl in ms
--       then for each message, no id twice: id (percent-encoded), role, tokens, digest, body,
--       number of calls it opens, number it answers, and their ids
-- Reply {'stored' or 'duplicate', version, seq, …} or {'conflict', id}
local thread = KEYS[1]
local messages, arg = {}, 2
while ARGV[arg] do
  local message = { id = ARGV[arg], role = ARGV[arg + 1], tokens = ARGV[arg + 2], digest = ARGV[arg + 3], body = ARGV[arg + 4] }
  local opens, answers = tonumber(ARGV[arg + 5]), tonumber(ARGV[arg + 6])
  arg = arg + 7
  message.opens, message.answers = {}, {}
  for index = 1, opens do message.opens[index] = ARGV[arg + index - 1] end
  for index = 1, answers do message.answers[index] = ARGV[arg + opens + index - 1] end
  arg = arg + opens + answers
  messages[#messages + 1] = message
end

-- All of them are judged before any is stored.
local fresh = false
for _, message in ipairs(messages) do
  local known = redis.call('HGET', thread, '#' .. message.id)
  if known then
    local space = string.find(known, ' ', 1, true)
    if string.sub(known, space + 1) ~= message.digest then return { 'conflict', message.id } end
    message.seq = tonumber(string.sub(known, 1, space - 1))
  else
    fresh = true
  end
end

local count = tonumber(redis.call('HGET', thread, '_n') or 0)
local version = tonumber(redis.call('HGET', thread, '_v') or 0)
local reply = { fresh and 'stored' or 'duplicate', version }
for _, message in ipairs(messages) do
  if not message.seq then
    count = count + 1
    message.seq = count
    local seq = string.format('%d', count)
    local group = seq
    for _, call in ipairs(message.answers) do
      group = redis.call('HGET', thread, '@' .. call) or group
      redis.call('HDEL', thread, '@' .. call)
    end
    for _, call in ipairs(message.opens) do redis.call('HSET', thread, '@' .. call, seq) end
    if message.role == 'system' then redis.call('HSETNX', thread, '_s', seq) end
    local head = message.id .. ' ' .. message.role .. ' ' .. message.tokens .. ' ' .. group
    redis.call('HSET', thread, seq, head .. '\n' .. message.body, '#' .. message.id, seq .. ' ' .. message.digest)
  end
  reply[#reply + 1] = message.seq
end
if fresh then
  reply[2] = version + 1
  redis.call('HSET', thread, '_n', string.format('%d', count), '_v', string.format('%d', version + 1))
end
redis.call('PEXPIRE', thread, ARGV[1])
return reply
