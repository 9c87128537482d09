-- An owner's threads, the last changed first.
--
-- KEYS  1 sorted set of them by last change   2 the same by end
-- ARGV  1 now in ms for tests, '' for the server's clock   2 score and 3 name to begin behind, '' for the newest
--       4 most threads
-- Reply {name, ms of the last change, …}
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
-- Those past their end go first, some at a time.
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now), 'LIMIT', 0, 500)
if #gone > 0 then
  redis.call('ZREM', KEYS[1], unpack(gone))
  redis.call('ZREM', KEYS[2], unpack(gone))
end
local most, found, offset = tonumber(ARGV[4]), {}, 0
local from = ARGV[2] == '' and '+inf' or ARGV[2]
while #found < 2 * most do
  local some = redis.call('ZREVRANGEBYSCORE', KEYS[1], from, '-inf', 'WITHSCORES', 'LIMIT', offset, most)
  for index = 1, #some, 2 do
    -- Of one score the names go down, so what was seen is not less than the cursor's name.
    if some[index + 1] ~= from or some[index] < ARGV[3] then
      found[#found + 1] = some[index]
      found[#found + 1] = some[index + 1]
      if #found == 2 * most then break end
    end
  end
  if #some < 2 * most then break end
  offset = offset + most
end
return found
