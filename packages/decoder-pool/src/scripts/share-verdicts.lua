-- Tells a coordinator's verdicts about nodes, and what others told since it last asked.
--
-- KEYS  1 hash verdicts: 'coordinator\nnode' to 'healthy since-ms told-ms'
--       2 sorted set marks: the same names, in the order in which they were told
-- ARGV  1 coordinator  2 ms to keep a verdict that is not told again  3 mark up to which it has read, or ''
--       4 the time in µs for tests, or '' for the server's  5… node, '1' healthy or '0', for how many ms, …
-- Reply {mark, 1 if these are all, {{coordinator, node, '1' or '0', for ms, told ms ago}, …} of the others}
local by, keep, since = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local micros = tonumber(ARGV[4])
if not micros then
  local time = redis.call('TIME')
  micros = time[1] * 1000000 + time[2]
end
local now = math.floor(micros / 1000)

local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local mark = tonumber(last[2] or 0)
-- A mark from before the data was lost is beyond all that there are; without data nothing was read at all.
if since and since > mark then since = nil end

for index = 5, #ARGV, 3 do
  local name = by .. '\n' .. ARGV[index]
  mark = math.max(mark + 1, micros)
  redis.call('HSET', KEYS[1], name,
    ARGV[index + 1] .. string.format(' %.0f %.0f', now - tonumber(ARGV[index + 2]), now))
  redis.call('ZADD', KEYS[2], string.format('%.0f', mark), name)
end

local names = redis.call('ZRANGEBYSCORE', KEYS[2], since and string.format('(%.0f', since) or '-inf', '+inf')
local others = {}
for _, name in ipairs(names) do
  local value = redis.call('HGET', KEYS[1], name)
  local healthy, from, told = string.match(value or '', '^(%d) (%-?%d+) (%-?%d+)$')
  local teller, node = string.match(name, '^(.-)\n(.*)$')
  -- One that is told by now under a former clock may seem to come from the future.
  local age = told and math.max(0, now - tonumber(told))
  if teller ~= by and age and age <= keep then
    others[#others + 1] = { teller, node, healthy, math.max(age, now - tonumber(from)), age }
  end
end

-- Who told too long ago tells no more. A few at a time: the rest goes with the next that asks.
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', (now - keep) * 1000), 'LIMIT', 0, 500)
for _, name in ipairs(old) do
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 2 * keep) end
return { string.format('%.0f', mark), since and 0 or 1, others }
