-- Takes, renews or releases a lease on a thread. After thread.lua.
--
-- ARGV  8 name of the lease   9 take, renew or release   10 token of the holder   11 ms
-- Reply {'held', …, fence}; {'taken', …, ms until it ends} if another holds it
-- A lease is a field %<name>: fence|token|end in ms. Fences rise; the highest of 'run' guards appends, in _f.
local field = '%' .. ARGV[8]
local lease = redis.call('HGET', thread, field)
local fence, holder, ends = 0, '', 0
if lease then
  local first, second, third = string.match(lease, '^(%d+)|([^|]*)|(%d+)$')
  fence, holder, ends = tonumber(first), second, tonumber(third)
end
local mine = holder == ARGV[10]
if ARGV[9] == 'release' then
  if mine then redis.call('HSET', thread, field, whole(fence) .. '||0') end
  return reply('held', fence)
end
if not mine and (ends > now or ARGV[9] == 'renew') then return reply('taken', math.max(0, ends - now)) end
if not mine then fence = fence + 1 end
redis.call('HSET', thread, field, whole(fence) .. '|' .. ARGV[10] .. '|' .. whole(now + tonumber(ARGV[11])))
if ARGV[8] == 'run' then redis.call('HSET', thread, '_f', whole(fence)) end
if not mine then save(false) end
return reply('held', fence)
