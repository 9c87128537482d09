-- How each script that writes to a thread begins: behind head.lua, before the script's own text.
--
-- KEYS  1 hash of the thread, fields below     2 sorted set: the owner's threads by last change, ms
--       3 sorted set: the same by end, ms      4 hash of the owner: g, raised when the owner is erased
-- ARGV  1 now in ms for tests, '' for the server's clock     2 ttl in ms     3 epoch for a new thread
--       4 generation known when the write was accepted, '' for a write of now
--       5 token of this operation, '' for none: a host's name, or writer:number       6 digest of what it does
--       7 name of the thread in the sorted sets; the script's own arguments follow
-- Reply {status, epoch, generation, version, edited, …}; status is 'deleted' when the thread was deleted
--       since, 'repeated' with what it came to when the operation was done before, 'past' when its writer
--       did others since, 'reused' when its token named another one
--
-- Fields of a thread:
--       _v  version of this format        _m  the head, as head.lua tells
--       _g  times deleted before          _x  the last deletion: token, blank, 1 if there was a thread
--       _s  summaries: number, blank, seq up to which it covers
--       _k  keys of the state, by blanks  _o  names of the latest operations, by blanks
--       _w  writers, by blanks            ~<writer>  number of its latest operation, ms, what that came to
--       <seq>     id|role|tokens|tokens before|turn|ms|revision|digest|calls|answers LF body
--       #<id>     seq; with .digest of the first body once it was edited, removed or spliced
--       @<call>   seq of the message with this open tool call
--       ^<number> a summary: to|tokens|ms|plan LF JSON       $<key>  version, blank, JSON
--       !<name>   digest of an operation, blank, what it came to
--       ids, calls and keys are percent-encoded; calls by commas, answers call@seq of the call, by commas
local thread = KEYS[1]
local now, ttl, token = now(ARGV[1]), tonumber(ARGV[2]), ARGV[5]

local exists, epoch, version, edited, newest, count, tokens, bytes, passed, turn, created, changed, ends, pinned
local function takeHead(packed)
  epoch, version, edited, newest, count, tokens, bytes, passed, turn, created, changed, ends, pinned = headFrom(packed)
  exists = epoch and epoch ~= ''
  if not exists then epoch, created, pinned = ARGV[3], now, '' end
  if not version then
    version, edited, newest, count, tokens, bytes, passed, turn, ends = 0, 0, 0, 0, 0, 0, 0, 0, 0
  end
end
local known = redis.call('HMGET', thread, '_m', '_g')
local erased = redis.call('HMGET', KEYS[4], 'g', 'e')
if erased[2] then
  -- What the owner had when it was erased is gone, though it may not be removed yet.
  local there, _, _, _, old, _, size, _, _, made = headFrom(known[1])
  if there and made <= tonumber(erased[2]) then
    if there ~= '' and redis.call('HEXISTS', KEYS[4], 'c') == 1 then
      redis.call('HINCRBY', KEYS[4], 'c', 1)
      redis.call('HINCRBY', KEYS[4], 'm', string.format('%.0f', old))
      redis.call('HINCRBY', KEYS[4], 'b', string.format('%.0f', size))
    end
    redis.call('UNLINK', thread)
    redis.call('ZREM', KEYS[2], ARGV[7])
    redis.call('ZREM', KEYS[3], ARGV[7])
    known = {}
  end
end
takeHead(known[1])
-- Nothing new is as old as what was erased.
if not exists and erased[2] then created = math.max(created, tonumber(erased[2]) + 1) end
local deletions = known[2]
local generation = tonumber(deletions or 0) + tonumber(erased[1] or 0)

local function reply(status, ...)
  return { status, exists and epoch or '', generation, version, edited, ... }
end

if ARGV[4] ~= '' and generation > tonumber(ARGV[4]) then return reply('deleted') end
-- A writer's operations on a thread come in their order: one that is not above its latest was done before.
local writer, serial = string.match(token, '^([^:]+):(%d+)$')
local latest = writer and redis.call('HGET', thread, '~' .. writer)
if latest then
  local last, outcome = string.match(latest, '^(%d+) %d+ (.*)$')
  if last == serial then return reply('repeated', outcome) end
  if tonumber(last) > tonumber(serial) then return reply('past') end
elseif token ~= '' and not writer then
  local done = redis.call('HGET', thread, '!' .. token)
  if done then
    local blank = string.find(done, ' ', 1, true)
    if string.sub(done, 1, blank - 1) ~= ARGV[6] then return reply('reused') end
    return reply('repeated', string.sub(done, blank + 1))
  end
end

-- Writers of the last week are remembered; above a number of them, the latest.
local function admitWriter()
  local names, kept, ages = redis.call('HGET', thread, '_w') or '', {}, {}
  local _, known = string.gsub(names, ' ', '')
  if known > 0 and known % 64 == 0 then
    for name in string.gmatch(names, '%S+') do
      local at = tonumber(string.match(redis.call('HGET', thread, '~' .. name), '^%d+ (%d+)'))
      if at < now - 604800000 then redis.call('HDEL', thread, '~' .. name)
      else
        kept[#kept + 1] = name
        ages[name] = at
      end
    end
    if #kept >= 1024 then
      table.sort(kept, function(one, other) return ages[one] < ages[other] end)
      for index = 1, 64 do redis.call('HDEL', thread, '~' .. table.remove(kept, 1)) end
    end
    names = table.concat(kept, ' ') .. ' '
  end
  redis.call('HSET', thread, '_w', names .. writer .. ' ')
end

-- Remembers what this operation came to: of hosts' names the latest 64, of a writer its latest.
local function remember(outcome)
  if token == '' then return end
  if writer then
    if not latest then admitWriter() end
    redis.call('HSET', thread, '~' .. writer, serial .. ' ' .. whole(now) .. ' ' .. outcome)
    return
  end
  local tokens = (redis.call('HGET', thread, '_o') or '') .. token .. ' '
  local _, known = string.gsub(tokens, ' ', '')
  if known > 64 then
    local blank = string.find(tokens, ' ', 1, true)
    redis.call('HDEL', thread, '!' .. string.sub(tokens, 1, blank - 1))
    tokens = string.sub(tokens, blank + 1)
  end
  redis.call('HSET', thread, '_o', tokens, '!' .. token, ARGV[6] .. ' ' .. outcome)
end

-- Whether the owner has as many threads as it may; those past their end go first, some at a time.
local function ownerIsFull(most)
  local gone = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', whole(now), 'LIMIT', 0, 500)
  if #gone > 0 then
    redis.call('ZREM', KEYS[2], unpack(gone))
    redis.call('ZREM', KEYS[3], unpack(gone))
  end
  return redis.call('ZCARD', KEYS[2]) >= most
end

-- Fields that are written with the head: names and values.
local fields = {}

-- Ends a change: `rewrote` when it touched what was there before, so that readers read it again.
local function save(rewrote)
  version = version + 1
  if rewrote then edited = version end
  -- A little more than the TTL at a time, so that most changes need not move it, and none ends too early.
  -- A new thread takes its own, not what is left of a tombstone's.
  local moves = not exists or ends - now < ttl
  local longer = ttl + math.floor(math.min(3600000, ttl / 50))
  if moves then ends = now + longer end
  local size = #fields
  fields[size + 1], fields[size + 2] = '_m', packHead(epoch, version, edited, newest, count, tokens, bytes,
    passed, turn, created, now, ends, pinned)
  if not exists then fields[size + 3], fields[size + 4] = '_v', '1' end
  redis.call('HSET', thread, unpack(fields))
  redis.call('ZADD', KEYS[2], now, ARGV[7])
  if moves then
    redis.call('PEXPIRE', thread, whole(longer))
    redis.call('ZADD', KEYS[3], ends, ARGV[7])
    for index = 2, 3 do
      if redis.call('PTTL', KEYS[index]) < longer then redis.call('PEXPIRE', KEYS[index], whole(longer)) end
    end
  end
  exists = true
end
