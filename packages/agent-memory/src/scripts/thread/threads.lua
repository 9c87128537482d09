-- Lists an owner's threads, the last changed first. A list of several pages shows one moment: a copy is kept while
-- it is paged through, so that writes meanwhile neither hide nor repeat a thread. After head.lua.
--
-- KEYS  1 sorted set of them by last change   2 the same by end   3 sorted set: names of kept lists by end, ms
--       4 this kept list
-- ARGV  1 now in ms for tests, '' for the server's clock   2 maximum of threads   3 rank to begin at in the kept list,
--       '' for the first page, -1 to drop the list   4 name of the kept list   5 ms for which it is kept
--       6 maximum of kept lists of this kind, the first letter of their names; 0 for no maximum
--       7 prefix of the keys of kept lists
-- Reply {rank of the next page, 0 if there is none, name, ms of the last change, …}, {-1} if the list is no longer kept
local now = now(ARGV[1])
local most = tonumber(ARGV[2])
local list, from = KEYS[1], 0
local expire = function(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end
local function drop(name)
  redis.call('UNLINK', ARGV[7] .. name)
  redis.call('ZREM', KEYS[3], name)
end
if ARGV[3] == '-1' then
  drop(ARGV[4])
  return { 0 }
end
if ARGV[3] == '' then
  -- Removes expired threads from the sets, some at a time.
  local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now), 'LIMIT', 0, 500)
  if #gone > 0 then
    redis.call('ZREM', KEYS[1], unpack(gone))
    redis.call('ZREM', KEYS[2], unpack(gone))
  end
  if redis.call('ZCARD', KEYS[1]) > most then
    local ms = tonumber(ARGV[5])
    list = KEYS[4]
    redis.call('COPY', KEYS[1], list, 'REPLACE')
    redis.call('PEXPIRE', list, ms)
    redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now))
    local kept, kind, mostKept = 1, string.sub(ARGV[4], 1, 1), tonumber(ARGV[6])
    for _, other in ipairs(redis.call('ZREVRANGE', KEYS[3], 0, -1)) do
      if string.sub(other, 1, 1) == kind then
        kept = kept + 1
        if mostKept > 0 and kept > mostKept then drop(other) end
      end
    end
    redis.call('ZADD', KEYS[3], string.format('%.0f', now + ms), ARGV[4])
    expire(KEYS[3], ms)
  end
else
  list, from = KEYS[4], tonumber(ARGV[3])
  if redis.call('EXISTS', list) == 0 then return { -1 } end
  redis.call('PEXPIRE', list, ARGV[5])
end
local found, last = { 0 }, redis.call('ZCARD', list)
while from < last and #found < 2 * most + 1 do
  local some = redis.call('ZREVRANGE', list, from, from + most - (#found - 1) / 2 - 1, 'WITHSCORES')
  for index = 1, #some, 2 do
    -- Skips threads that ended since.
    if list == KEYS[1] or redis.call('ZSCORE', KEYS[1], some[index]) then
      found[#found + 1] = some[index]
      found[#found + 1] = some[index + 1]
    end
  end
  from = from + #some / 2
  if #some == 0 then break end
end
if list == KEYS[4] then
  if from < last then
    found[1] = from
  else
    drop(ARGV[4])
  end
end
return found
