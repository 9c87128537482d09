-- Decides all limits of one subject in one step: every one admits its cost and is charged, or none is.
--
-- KEYS  of each limit in order: sliding window: 1 sorted set of slots (member: start, score: last charge, ms),
--       2 hash of costs by slot, with their total in field 't'; token bucket: 1 string 'level at'
-- ARGV  1 '1' to charge, '0' to peek
--       2 now in ms for tests, '' for the server's own clock
--       then for each limit: kind ('w' or 'b'), cost, limit, and
--       w: window ms, slot ms        b: refill, every ms
-- Reply {allowed, then for each limit: allowed, remaining, retry after ms, reset at ms}
--
-- The same decisions as src/algorithms; all numbers are whole and below 2^53, so both agree exactly.
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function window(arg, key)
  local self = { cost = tonumber(ARGV[arg + 1]), keys = 2, args = 5 }
  local limit, span, slotMs = tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3]), tonumber(ARGV[arg + 4])
  local slots, costs = KEYS[key], KEYS[key + 1]
  -- Nothing is written here: a peek and a denial leave all as it was. What is left over by the bound of
  -- the batch goes on counting, which is safe.
  local total = tonumber(redis.call('HGET', costs, 't') or 0)
  local expired = redis.call('ZRANGEBYSCORE', slots, '-inf', now - span, 'LIMIT', 0, 1000)
  if #expired > 0 then
    for _, cost in ipairs(redis.call('HMGET', costs, unpack(expired))) do total = total - (cost or 0) end
  end
  local newest = redis.call('ZRANGE', slots, -1, -1, 'WITHSCORES')
  local lastCharge = newest[2] and tonumber(newest[2]) or now - span
  local empty = lastCharge <= now - span
  -- An empty window holds nothing, whatever became of its total (Redis may have evicted one of the keys).
  if empty then total, lastCharge = 0, now - span end
  self.allowed = total + self.cost <= limit

  function self.verdict(charged)
    if charged then
      local reset = (self.cost > 0 and math.max(lastCharge, now) or lastCharge) + span
      return 1, limit - total - self.cost, 0, reset
    end
    if self.allowed then return 1, limit - total, 0, lastCharge + span end
    local toFree, freedAt, from = total + self.cost - limit, now, #expired
    while toFree > 0 do
      local batch = redis.call('ZRANGE', slots, from, from + 99, 'WITHSCORES')
      if #batch == 0 then break end
      for index = 1, #batch, 2 do
        toFree = toFree - tonumber(redis.call('HGET', costs, batch[index]) or 0)
        freedAt = tonumber(batch[index + 1])
        if toFree <= 0 then break end
      end
      from = from + 100
    end
    return 0, math.max(0, limit - total), freedAt + span - now, lastCharge + span
  end

  function self.charge()
    if empty then
      redis.call('DEL', slots, costs)
    elseif #expired > 0 then
      redis.call('HDEL', costs, unpack(expired))
      redis.call('ZREM', slots, unpack(expired))
    end
    -- By its start, not counted: slots of two lengths stay in order when the limit changes.
    local slot = now - now % slotMs
    -- A clock that stepped back charges the newest slot, which only holds it longer.
    if not empty and (tonumber(newest[1]) > slot or lastCharge > now) then slot = tonumber(newest[1]) end
    local member = string.format('%.0f', slot)
    redis.call('HINCRBY', costs, member, self.cost)
    redis.call('HSET', costs, 't', total + self.cost)
    redis.call('ZADD', slots, 'GT', now, member)
    redis.call('PEXPIRE', slots, span + slotMs)
    redis.call('PEXPIRE', costs, span + slotMs)
  end

  return self
end

local function bucket(arg, key)
  local self = { cost = tonumber(ARGV[arg + 1]), keys = 1, args = 5 }
  local limit, refill, every = tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3]), tonumber(ARGV[arg + 4])
  local stored = redis.call('GET', KEYS[key])
  local level, at = 0, now
  if stored then
    local space = string.find(stored, ' ', 1, true)
    level, at = tonumber(string.sub(stored, 1, space - 1)), tonumber(string.sub(stored, space + 1))
    local elapsed = math.max(0, now - at)
    if elapsed >= level / refill then level = 0 else level = level - refill * elapsed end
    at = math.max(at, now)
  end
  local capacity = limit * every
  local wanted = level + self.cost * every
  self.allowed = wanted <= capacity

  function self.verdict(charged)
    local after = charged and wanted or level
    local retryAfter = 0
    if not self.allowed then retryAfter = math.ceil((wanted - capacity) / refill) end
    local remaining = math.max(0, math.floor((capacity - after) / every))
    return self.allowed and 1 or 0, remaining, retryAfter, now + math.ceil(after / refill)
  end

  function self.charge()
    local ttl = math.ceil(wanted / refill) + math.max(0, at - now)
    redis.call('SET', KEYS[key], string.format('%.0f %.0f', wanted, at), 'PX', math.max(1, ttl))
  end

  return self
end

local limits, arg, key, allowed = {}, 3, 1, true
while ARGV[arg] do
  local limit = ARGV[arg] == 'w' and window(arg, key) or bucket(arg, key)
  allowed = allowed and limit.allowed
  limits[#limits + 1] = limit
  arg, key = arg + limit.args, key + limit.keys
end

local reply = { allowed and 1 or 0 }
for _, limit in ipairs(limits) do
  for _, value in ipairs({ limit.verdict(allowed) }) do reply[#reply + 1] = value end
end
if allowed and ARGV[1] == '1' then
  for _, limit in ipairs(limits) do
    if limit.cost > 0 then limit.charge() end
  end
end
return reply
