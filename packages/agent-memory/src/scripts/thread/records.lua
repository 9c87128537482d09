-- Records of a thread; it comes between thread.lua and a script that appends, changes or removes them.
--
-- A message in ARGV: id, role, tokens, digest, body, number of calls that it opens, number that it answers,
-- and their ids.

-- The fields of a record's first line, and where its body begins.
local function lineOf(record)
  local lineEnd, fields = string.find(record, '\n', 1, true), {}
  for field in string.gmatch(string.sub(record, 1, lineEnd - 1) .. '|', '([^|]*)|') do
    fields[#fields + 1] = field
  end
  return fields, lineEnd + 1
end

-- Bytes of a record's body.
local function sizeOf(record)
  return #record - string.find(record, '\n', 1, true)
end

-- The seq of an id, the digest of its first body, and its record if that still exists. `known` is the field of
-- the id, if it was read before.
local function find(id, known)
  if known == nil then known = redis.call('HGET', thread, '#' .. id) end
  if not known then return nil end
  local dot = string.find(known, '.', 1, true)
  if dot then
    local seq = string.sub(known, 1, dot - 1)
    return tonumber(seq), string.sub(known, dot + 1), redis.call('HGET', thread, seq)
  end
  local record = redis.call('HGET', thread, known)
  return tonumber(known), lineOf(record)[8], record
end

-- The messages in ARGV from an index on.
local function messagesFrom(arg)
  local messages = {}
  while ARGV[arg] do
    local opens, answers = tonumber(ARGV[arg + 5]), tonumber(ARGV[arg + 6])
    messages[#messages + 1] = { at = arg, opens = opens, answers = answers }
    arg = arg + 7 + opens + answers
  end
  return messages
end

-- Records the tool calls that a message opens and answers; returns them as its record contains them.
local function placeCalls(message, seq)
  local at, opens, answers = message.at, {}, {}
  for index = at + 7 + message.opens, at + 6 + message.opens + message.answers do
    local call = ARGV[index]
    local made = redis.call('HGET', thread, '@' .. call)
    if made then redis.call('HDEL', thread, '@' .. call) end
    answers[#answers + 1] = call .. '@' .. (made or '')
  end
  for index = at + 7, at + 6 + message.opens do
    redis.call('HSET', thread, '@' .. ARGV[index], seq)
    opens[#opens + 1] = ARGV[index]
  end
  return table.concat(opens, ','), table.concat(answers, ',')
end

-- Puts a message at the thread's end, with the next save(). Returns true if nothing was pinned and it is a system
-- message, which is then pinned.
local function place(message)
  local at = message.at
  local id, role = ARGV[at], ARGV[at + 1]
  newest, count = newest + 1, count + 1
  message.seq = newest
  local seq, opens, answers = whole(newest), '', ''
  if message.opens + message.answers > 0 then opens, answers = placeCalls(message, seq) end
  if role == 'user' and message.answers == 0 then turn = turn + 1 end
  local size, body = #fields, ARGV[at + 4]
  fields[size + 1] = seq
  fields[size + 2] = id .. '|' .. role .. '|' .. ARGV[at + 2] .. '|' .. whole(passed) .. '|' .. turn .. '|' .. now
    .. '|0|' .. ARGV[at + 3] .. '|' .. opens .. '|' .. answers .. '\n' .. body
  fields[size + 3], fields[size + 4] = '#' .. id, seq
  tokens, passed, bytes = tokens + tonumber(ARGV[at + 2]), passed + tonumber(ARGV[at + 2]), bytes + #body
  if pinned == '' and (role == 'system' or role == 'developer') then
    pinned = seq
    return true
  end
  return false
end

-- Undoes a record's calls: those that it answers are open again if their message exists, and its own are removed.
local function withdrawCalls(head, own)
  for call, made in string.gmatch(head[10], '([^@,]+)@(%d*)') do
    if made ~= '' and redis.call('HEXISTS', thread, made) == 1 then redis.call('HSETNX', thread, '@' .. call, made) end
  end
  for call in string.gmatch(head[9], '[^,]+') do
    if redis.call('HGET', thread, '@' .. call) == own then redis.call('HDEL', thread, '@' .. call) end
  end
end

-- Removes a record; its id stays known, so that no late write brings it back.
local function drop(seq, record)
  local head, body = lineOf(record)
  local own = whole(seq)
  withdrawCalls(head, own)
  redis.call('HDEL', thread, own)
  local id = '#' .. head[1]
  if redis.call('HGET', thread, id) == own then redis.call('HSET', thread, id, own .. '.' .. head[8]) end
  count, tokens, bytes = count - 1, tokens - tonumber(head[3]), bytes - (#record - body + 1)
  local kept = {}
  for other in string.gmatch(pinned, '%d+') do
    if other ~= own then kept[#kept + 1] = other end
  end
  pinned = table.concat(kept, ' ')
end

-- Replaces a record's body in place, and its tool calls and results.
local function rewrite(message, seq, record)
  local head, own, at = lineOf(record), whole(seq), message.at
  withdrawCalls(head, own)
  local opens, answers = '', ''
  if message.opens + message.answers > 0 then opens, answers = placeCalls(message, own) end
  local body = ARGV[at + 4]
  local first = redis.call('HGET', thread, '#' .. head[1])
  if first == own then first = own .. '.' .. head[8] end
  tokens = tokens - tonumber(head[3]) + tonumber(ARGV[at + 2])
  bytes = bytes - sizeOf(record) + #body
  head[2], head[3], head[7], head[8] = ARGV[at + 1], ARGV[at + 2], whole(tonumber(head[7]) + 1), ARGV[at + 3]
  head[9], head[10] = opens, answers
  redis.call('HSET', thread, own, table.concat(head, '|') .. '\n' .. body, '#' .. head[1], first)
end
