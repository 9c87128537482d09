-- The beginning of each script that writes to a thread: after head.lua, before the script's own text.
--
-- KEYS  1 hash of the thread, fields below     2 sorted set: the owner's threads by last change, ms
--       3 sorted set: the same by end, ms      4 hash of the owner, as erase.lua describes
-- ARGV  1 now in ms for tests, '' for the server's clock     2 ttl in ms     3 epoch for a new thread
--       4 generation known when the write was accepted, '' for a write accepted now
--       5 token of this operation, '' for none: the application's name, or writer:number    6 digest of the operation
--       7 name of the thread in the sorted sets; the script's own arguments follow
-- Reply {status, epoch, generation, version, edited, …}; status is 'deleted' if the thread was deleted
--       since, 'repeated' with the outcome if the operation was done before, 'past' if its writer
--       did later ones since, 'reused' if its token named another operation
--
-- Fields of a thread:
--       _v  version of this format        _m  the head, as head.lua describes
--       _g  number of deletions           _x  the last deletion: token, blank, 1 if there was a thread
--       _s  current summary: number, blank, seq up to which it covers       _f  highest fence, as lease.lua describes
--       _k  keys of the state, by blanks  _o  names of the latest operations, by blanks
--       _w  writers, by blanks            ~<writer>  number of its latest operation, ms, outcome
--       <seq>     id|role|tokens|tokens before|turn|ms|revision|digest|calls|answers LF body
--       #<id>     seq; with .digest of the first body once it was edited, removed or spliced
--       @<call>   seq of the message with this open tool call
--       ^<number> a summary: to|tokens|ms|plan LF JSON       $<key>  version, blank, JSON
--       !<name>   digest of an operation, blank, outcome     %<name>  a lease, as lease.lua describes
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
  -- A thread from before the owner's erasure is gone, even if it is not removed yet.
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
-- A new thread must be younger than the erasure, by whose time threads are told apart.
if not exists and erased[2] then created = math.max(created, tonumber(erased[2]) + 1) end
local deletions = known[2]
local generation = tonumber(deletions or 0) + tonumber(erased[1] or 0)

local function reply(status, ...)
  return { status, exists and epoch or '', generation, version, edited, ... }
end

if ARGV[4] ~= '' and generation > tonumber(ARGV[4]) then return reply('deleted') end
-- A writer's operations on a thread come in order: one whose number is not above the latest was done before.
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

-- Remembers the outcome of this operation: the latest 64 of named operations, the latest one of each writer.
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

-- Whether the owner has as many threads as it may have; first removes expired ones from the sets, some at a time.
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

-- Saves a change. `rewrote` says that it touched earlier records, so that readers read them again.
local function save(rewrote)
  version = version + 1
  if rewrote then edited = version end
  -- The end moves by a little more than the TTL, so that most changes need not move it and no thread ends too early.
  -- A new thread gets its own end, in place of that of a tombstone.
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
