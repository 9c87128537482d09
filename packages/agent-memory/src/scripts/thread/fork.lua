-- Copies a thread up to a seq, under a name that is free. After thread.lua and records.lua, for which the
-- thread is the copy.
--
-- KEYS  5 hash of the thread that is copied
-- ARGV  8 seq of the last message to copy, '' for all
-- Reply {'done', …, newest seq, records}, {'missing', …} if there is nothing to copy, {'exists', …}
if exists then return reply('exists') end
local source = headFrom(liveHead(redis.call('HGET', KEYS[5], '_m'), KEYS[4]))
if not source or source == '' then return reply('missing') end
local own, lasting = epoch, version
redis.call('COPY', KEYS[5], thread, 'REPLACE')
-- Removes what belongs to the original alone: its operations, leases and deletions.
for one in string.gmatch(redis.call('HGET', thread, '_o') or '', '%S+') do
  redis.call('HDEL', thread, '!' .. one)
end
for one in string.gmatch(redis.call('HGET', thread, '_w') or '', '%S+') do
  redis.call('HDEL', thread, '~' .. one)
end
redis.call('HDEL', thread, '_o', '_w', '_x', '_f', '%run', '%compaction')
if deletions then redis.call('HSET', thread, '_g', deletions) else redis.call('HDEL', thread, '_g') end
takeHead(redis.call('HGET', thread, '_m'))
exists, epoch, created, version = false, own, now, math.max(lasting, version)

local last = math.min(newest, tonumber(ARGV[8]) or newest)
-- Goes through the existing records, since there may be any number of gaps between them.
local behind, upTo = {}, 0
for _, name in ipairs(redis.call('HKEYS', thread)) do
  local seq = string.find(name, '^%d+$') and tonumber(name)
  if seq and seq > last then behind[#behind + 1] = seq
  elseif seq and seq > upTo then upTo = seq end
end
table.sort(behind, function(one, other) return one > other end)
for _, seq in ipairs(behind) do
  local record = redis.call('HGET', thread, whole(seq))
  local id = lineOf(record)[1]
  drop(seq, record)
  redis.call('HDEL', thread, '#' .. id)
end
newest = last
if upTo > 0 then
  local head = lineOf(redis.call('HGET', thread, whole(upTo)))
  passed, turn = tonumber(head[4]) + tonumber(head[3]), tonumber(head[5])
end
-- A summary that covers more than was copied does not fit the copy; the one before it may.
local number, covers = string.match(redis.call('HGET', thread, '_s') or '', '^(%d+) (%d+)$')
if number and tonumber(covers) > last then
  redis.call('HDEL', thread, '_s', '^' .. number)
  number = whole(tonumber(number) - 1)
  covers = string.match(redis.call('HGET', thread, '^' .. number) or '', '^(%d+)|')
  if covers and tonumber(covers) <= last then
    redis.call('HSET', thread, '_s', number .. ' ' .. covers)
  else
    redis.call('HDEL', thread, '^' .. number)
  end
end
remember('')
save(true)
return reply('done', newest, count)
