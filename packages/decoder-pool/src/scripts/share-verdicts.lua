-- Stores a coordinator's verdicts about nodes, and returns those that others stored since it last asked.
--
-- KEYS  1 hash verdicts: 'coordinator\nnode' to 'healthy since-ms told-ms'
--       2 sorted set marks: the same names, in the order in which they were told
--       3 hash probers: coordinator to 'told-ms until-ms region'
-- ARGV  1 coordinator  2 its region, or ''  3 ms for which it counts as a prober, '0': it only listens
--       4 ms to keep a verdict that is not told again  5 mark up to which it has read, or ''
--       6 the time in µs for tests, or '' for the server's  7… node, '1' healthy or '0', for how many ms, …
-- Reply {mark, 1 if these are all, {{coordinator, node, '1' or '0', for ms, told ms ago}, …} of the others,
--        {{coordinator, region}, …} that probe}
--- @include "clock"
local by, alive, keep, since = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local micros = micros(ARGV[6])
local now = math.floor(micros / 1000)

if alive > 0 then
  redis.call('HSET', KEYS[3], by, string.format('%.0f %.0f ', now, now + alive) .. ARGV[2])
else
  redis.call('HDEL', KEYS[3], by)
end
local probers = {}
local known = redis.call('HGETALL', KEYS[3])
for index = 1, #known, 2 do
  local told, till, region = string.match(known[index + 1], '^(%-?%d+) (%-?%d+) (.*)$')
  -- An entry from before the clock was set back is deleted: it might never expire, and a live prober renews it.
  if till and tonumber(till) >= now and tonumber(told) <= now then
    probers[#probers + 1] = { known[index], region }
  else
    redis.call('HDEL', KEYS[3], known[index])
  end
end

local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local mark = tonumber(last[2] or 0)
-- A mark above all that exist is from before a loss of the data.
if since and since > mark then since = nil end

for index = 7, #ARGV, 3 do
  local name = by .. '\n' .. ARGV[index]
  mark = math.max(mark + 1, micros)
  redis.call('HSET', KEYS[1], name,
    ARGV[index + 1] .. string.format(' %.0f %.0f', now - tonumber(ARGV[index + 2]), now))
  redis.call('ZADD', KEYS[2], string.format('%.0f', mark), name)
end

local names = redis.call('ZRANGEBYSCORE', KEYS[2], since and string.format('(%.0f', since) or '-inf', '+inf')
local others = {}
for _, name in ipairs(names) do
  local teller, node = string.match(name, '^(.-)\n(.*)$')
  if teller ~= by then
    local healthy, from, told = string.match(redis.call('HGET', KEYS[1], name) or '', '^(%d) (%-?%d+) (%-?%d+)$')
    local age = told and now - tonumber(told)
    if age and age >= 0 and age <= keep then
      others[#others + 1] = { teller, node, healthy, now - tonumber(from), age }
    end
  end
end

-- Deletes verdicts that are too old, at most 500 at once; the next calls delete the rest.
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', (now - keep) * 1000), 'LIMIT', 0, 500)
for _, name in ipairs(old) do
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 2 * keep) end
return { string.format('%.0f', mark), since and 0 or 1, others, probers }
