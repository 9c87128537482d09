-- Begins a draft, writes a piece of it or its end, or records that its writer is alive. After head.lua.
--
-- KEYS  1 stream of the pieces: entry <number>-0 with d and text, o and the number of characters that were left
--         out before it; the last one with e
--       2 hash of the thread's drafts, by name: token|ms of the last write|µs of its beginning|generation
--         of the thread then|o while it is open, e after its end
--       3 sorted set: the owner's threads with drafts, by ms of the last beginning
--       4 hash of the thread, as thread/thread.lua describes   5 hash of the owner
-- ARGV  1 token of the writer   2 ms for which the draft stays   3 begin, piece, end or alive   4 number of the piece
--       5 text   6 characters left out before it   7 name of the draft in the hash   8 name of the thread in the set
-- Reply {'written', generation}, {'fenced'} if another writer took the draft over, {'gone'} if it ended or expired, or
--       the thread was deleted since
--- @include "draft"
local now = now()
local generation = generationOf(KEYS[4], KEYS[5])
local kind, name, ttl = ARGV[3], ARGV[7], tonumber(ARGV[2])
local known = redis.call('HGET', KEYS[2], name)
local token, _, began, since, state = draftFrom(known)
if known then
  if token ~= ARGV[1] then return { 'fenced' } end
  if state == 'e' then return { 'gone' } end
  if tonumber(since) < generation then
    redis.call('UNLINK', KEYS[1])
    redis.call('HDEL', KEYS[2], name)
    return { 'gone' }
  end
else
  if kind ~= 'begin' then return { 'gone' } end
  began, since = whole(micros()), whole(generation)
  -- Forgets drafts without a write for their ttl, some at a time.
  local some = redis.call('HRANDFIELD', KEYS[2], 5, 'WITHVALUES')
  for index = 1, #some, 2 do
    local at = tonumber(string.match(some[index + 1], '^[^|]*|(%d+)'))
    if at < now - ttl then redis.call('HDEL', KEYS[2], some[index]) end
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. whole(now - 2 * ttl))
  redis.call('ZADD', KEYS[3], now, ARGV[8])
  redis.call('PEXPIRE', KEYS[3], whole(2 * ttl))
end
-- A repeated piece fails here, which is right: the ids of a stream's entries must rise, so it is in the stream already.
if kind == 'piece' then
  redis.pcall('XADD', KEYS[1], ARGV[4] .. '-0', 'd', ARGV[5], 'o', ARGV[6])
elseif kind == 'end' then
  redis.pcall('XADD', KEYS[1], ARGV[4] .. '-0', 'e', '')
end
redis.call('HSET', KEYS[2], name, table.concat({ ARGV[1], whole(now), began, since, kind == 'end' and 'e' or 'o' }, '|'))
-- Slow readers still find the rest of a draft that ended.
redis.call('PEXPIRE', KEYS[1], kind == 'end' and math.min(60000, ttl) or ttl)
if redis.call('PTTL', KEYS[2]) < ttl then redis.call('PEXPIRE', KEYS[2], ttl) end
return { 'written', tonumber(since) }
