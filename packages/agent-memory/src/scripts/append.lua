-- Appends messages to a thread, each once, at gapless seqs; all of them or none.
--
-- KEYS  1 hash of the thread; its fields:
--       _v  version of this format        _e  epoch, made with the thread
--       _g  times deleted before          _x  the last deletion: token, blank, 1 if there was a thread
--       _ver version, rises with changes  _t  seq of the newest record   _h  of the oldest   _n  records
--       _tok tokens  _b  bytes of bodies  _r  turns   _p  seqs that every window holds, by blanks
--       _c  created  _u  last changed     (ms since 1970)
--       <seq>    1|id|role|tokens|ties|turn|ms|revision|calls,results,strays LF body
--       #<id>    seq.digest of the body
--       @<call>  seq of the message with this open tool call
--       ids are percent-encoded; ties are the seqs of the calls that a result answers, by commas
-- ARGV  1 now in ms for tests, '' for the server's clock   2 ttl in ms   3 epoch for a new thread
--       4 generation known when the write was accepted, '' for a write of now
--       then for each message, no id twice: id, role, tokens, digest, body,
--       number of calls that it opens, number that it answers, and their ids
-- Reply {'stored' or 'duplicate', epoch, generation, version, seq, …}, {'conflict', id} or
--       {'deleted', generation}
local thread = KEYS[1]
local now, ttl = tonumber(ARGV[1]), tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function whole(number) return string.format('%.0f', number) end

local meta = redis.call('HMGET', thread, '_e', '_g', '_ver', '_t', '_n', '_tok', '_b', '_r', '_p', '_h', '_c')
local epoch, pinned = meta[1] or ARGV[3], meta[9]
local function number(index) return tonumber(meta[index] or 0) end
local generation, version, tail, size = number(2), number(3), number(4), number(5)
local tokens, bytes, turn = number(6), number(7), number(8)
if ARGV[4] ~= '' and generation > tonumber(ARGV[4]) then return { 'deleted', generation } end

local messages, arg = {}, 5
while ARGV[arg] do
  local opens, answers = tonumber(ARGV[arg + 5]), tonumber(ARGV[arg + 6])
  messages[#messages + 1] = { at = arg, opens = opens, answers = answers }
  arg = arg + 7 + opens + answers
end

-- All of them are judged before any is stored.
local fresh = false
for _, message in ipairs(messages) do
  local known = redis.call('HGET', thread, '#' .. ARGV[message.at])
  if known then
    local dot = string.find(known, '.', 1, true)
    if string.sub(known, dot + 1) ~= ARGV[message.at + 3] then return { 'conflict', ARGV[message.at] } end
    message.seq = tonumber(string.sub(known, 1, dot - 1))
  else
    fresh = true
  end
end

local reply = { fresh and 'stored' or 'duplicate', epoch, generation, version }
for _, message in ipairs(messages) do
  if not message.seq then
    local at = message.at
    local id, role, digest, body = ARGV[at], ARGV[at + 1], ARGV[at + 3], ARGV[at + 4]
    tail, size = tail + 1, size + 1
    tokens, bytes = tokens + tonumber(ARGV[at + 2]), bytes + #body
    message.seq = tail
    local seq = whole(tail)
    local ties, tied, results = {}, {}, 0
    for index = at + 7 + message.opens, at + 6 + message.opens + message.answers do
      local call = '@' .. ARGV[index]
      local made = redis.call('HGET', thread, call)
      if made then
        redis.call('HDEL', thread, call)
        results = results + 1
        if not tied[made] then
          tied[made] = true
          ties[#ties + 1] = made
        end
      end
    end
    for index = at + 7, at + 6 + message.opens do redis.call('HSET', thread, '@' .. ARGV[index], seq) end
    if role == 'user' and message.answers == 0 then turn = turn + 1 end
    if not pinned and (role == 'system' or role == 'developer') then pinned = seq end
    local calls = message.opens .. ',' .. results .. ',' .. (message.answers - results)
    local head = { '1', id, role, ARGV[at + 2], table.concat(ties, ','), whole(turn), whole(now), '0', calls }
    redis.call('HSET', thread, seq, table.concat(head, '|') .. '\n' .. body, '#' .. id, seq .. '.' .. digest)
  end
  reply[#reply + 1] = message.seq
end
if not fresh then return reply end

reply[4] = version + 1
redis.call('HSET', thread, '_v', '1', '_e', epoch, '_g', whole(generation), '_ver', whole(version + 1),
  '_t', whole(tail), '_h', meta[10] or '1', '_n', whole(size), '_tok', whole(tokens), '_b', whole(bytes),
  '_r', whole(turn), '_c', meta[11] or whole(now), '_u', whole(now))
if pinned ~= meta[9] then redis.call('HSET', thread, '_p', pinned) end
-- A little more than the TTL at a time, so that most appends need not move it, and none ends too early.
-- A new thread takes its own, not what is left of a tombstone's.
if not meta[4] or redis.call('PTTL', thread) < ttl then
  redis.call('PEXPIRE', thread, whole(ttl + math.floor(math.min(3600000, ttl / 50))))
end
return reply
