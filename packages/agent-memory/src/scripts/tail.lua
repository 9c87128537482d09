-- The newest records of a thread, within bounds of messages and tokens.
--
-- KEYS  1 hash of the thread, as append.lua keeps it
-- ARGV  1 most messages  2 most tokens
-- Reply {count, version, system seq or 0, its record or '', {seq, record, …} newest first}
local thread = KEYS[1]
local meta = redis.call('HMGET', thread, '_n', '_v', '_s')
local count = tonumber(meta[1] or 0)
local most, budget = tonumber(ARGV[1]), tonumber(ARGV[2])
local records, seq, tokens = {}, count, 0
while seq > 0 and #records < 2 * most do
  -- In pieces, so that a small budget reads little.
  local names = {}
  for index = seq, math.max(1, seq - math.min(49, most - #records / 2 - 1)), -1 do names[#names + 1] = string.format('%d', index) end
  local values = redis.call('HMGET', thread, unpack(names))
  local full = false
  for index, value in ipairs(values) do
    tokens = tokens + tonumber(string.match(value, '^%S+ %S+ (%d+) '))
    if tokens > budget then
      full = true
      break
    end
    records[#records + 1] = tonumber(names[index])
    records[#records + 1] = value
  end
  if full then break end
  seq = seq - #names
end
local system = tonumber(meta[3] or 0)
return {
  count,
  tonumber(meta[2] or 0),
  system,
  system > 0 and redis.call('HGET', thread, meta[3]) or '',
  records,
}
