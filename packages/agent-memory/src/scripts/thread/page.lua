-- Reads records of a thread by seq, or by id. After head.lua.
--
-- KEYS  1 hash of the thread, as thread.lua describes   2 hash of the owner
-- ARGV  1 up, down or ids   2 seq after which to begin   3 maximum of records   or from 2 on: ids
-- Reply {epoch, generation, version, edited, newest, records in the thread, next seq or 0 at the end,
--        {seq, record, …}}
local thread = KEYS[1]
local meta = redis.call('HMGET', thread, '_m', '_g')
local epoch, version, edited, newest, count = headFrom(liveHead(meta[1], KEYS[2]))
local generation = tonumber(meta[2] or 0) + tonumber(redis.call('HGET', KEYS[2], 'g') or 0)
newest = newest or 0
local records, next = {}, 0
-- A page ends beyond this size: a very long reply would delay all others of its connection.
local maxBytes, bytes = 1048576, 0

if ARGV[1] == 'ids' then
  for index = 2, #ARGV do
    local seq = string.match(redis.call('HGET', thread, '#' .. ARGV[index]) or '', '^%d+')
    local record = seq and redis.call('HGET', thread, seq)
    if record then
      records[#records + 1] = tonumber(seq)
      records[#records + 1] = record
    end
  end
else
  local step = ARGV[1] == 'up' and 1 or -1
  local seq, most = tonumber(ARGV[2]) + step, tonumber(ARGV[3])
  if step == 1 then seq = math.max(seq, 1) else seq = math.min(seq, newest) end
  -- If much was removed, a page is short rather than slow: it looks at no more seqs than this.
  local looks = math.min(4 * most, 1000000) + 100
  while seq >= 1 and seq <= newest do
    if #records >= 2 * most or looks == 0 or bytes >= maxBytes then
      next = seq
      break
    end
    looks = looks - 1
    local record = redis.call('HGET', thread, string.format('%.0f', seq))
    if record then
      records[#records + 1] = seq
      records[#records + 1] = record
      bytes = bytes + #record
    end
    seq = seq + step
  end
end
return { epoch or '', generation, version or 0, edited or 0, newest, count or 0, next, records }
