-- The newest records of a thread, within bounds of messages and tokens.
--
-- KEYS  1 hash of the thread, as append.lua keeps it
-- ARGV  1 most messages  2 most tokens
-- Reply {epoch, generation, version, newest seq, {pinned seq, record, …}, {seq, record, … newest first}}
local thread = KEYS[1]
local meta = redis.call('HMGET', thread, '_e', '_g', '_ver', '_t', '_h', '_p')
local tail, oldest = tonumber(meta[4] or 0), tonumber(meta[5] or 1)
local most, budget = tonumber(ARGV[1]), tonumber(ARGV[2])

local pinned = {}
for seq in string.gmatch(meta[6] or '', '%d+') do
  local record = redis.call('HGET', thread, seq)
  if record then
    pinned[#pinned + 1] = tonumber(seq)
    pinned[#pinned + 1] = record
  end
end

local records, found, tokens, seq = {}, 0, 0, tail
while seq >= oldest and found < most do
  -- In pieces, so that a small budget reads little.
  local last = math.max(oldest, seq - math.min(49, most - found - 1))
  local names = {}
  for index = seq, last, -1 do names[#names + 1] = string.format('%.0f', index) end
  local full = false
  for index, record in ipairs(redis.call('HMGET', thread, unpack(names))) do
    if record then
      tokens = tokens + tonumber(string.match(record, '^%d+|[^|]*|[^|]*|(%d+)|'))
      if tokens > budget then
        full = true
        break
      end
      found = found + 1
      records[#records + 1] = tonumber(names[index])
      records[#records + 1] = record
    end
  end
  if full then break end
  seq = last - 1
end
return { meta[1] or '', tonumber(meta[2] or 0), tonumber(meta[3] or 0), tail, pinned, records }
