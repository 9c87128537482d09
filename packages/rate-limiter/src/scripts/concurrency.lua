-- Concurrency: a sorted set of held slots (member: holder:number, score: when its lease ends, ms), and two sorted sets
-- of waiters: 'line' (score: order of arrival) and 'alive' (score: until when a waiter counts). The score of the member
-- '!' of the first one is the time until which the subject is blocked.
-- a: lease ms, b: ms after which a waiter that does not ask again leaves the line.
local slots = { keys = 3 }
kinds['concurrency'] = slots
local afterNow = string.format('(%.0f', now)

-- The operations write the sets directly, because only the sets know the names of holders and waiters.
function slots.load(cell)
  cell.held, cell.line, cell.alive = cell.key, cell.key2, cell.key3
  cell.used = redis.call('ZCOUNT', cell.held, afterNow, '+inf')
  cell.waiting = redis.call('ZCOUNT', cell.alive, afterNow, '+inf')
  cell.blocked = tonumber(redis.call('ZSCORE', cell.held, '!') or 0)
  if cell.blocked > now then cell.used = cell.used - 1 end
end

local function leaveLine(cell, id)
  redis.call('ZREM', cell.line, id)
  if redis.call('ZREM', cell.alive, id) == 1 then cell.waiting = cell.waiting - 1 end
end

local function leaveOutTheDead(cell)
  local dead = redis.call('ZRANGEBYSCORE', cell.alive, '-inf', now, 'LIMIT', 0, 1000)
  if #dead == 0 then return end
  redis.call('ZREM', cell.line, unpack(dead))
  redis.call('ZREM', cell.alive, unpack(dead))
end

-- The number of waiters before this one: all of them, unless it has joined already.
local function ahead(cell, id)
  if cell.waiting == 0 then return 0 end
  leaveOutTheDead(cell)
  return id ~= '' and redis.call('ZRANK', cell.line, id) or cell.waiting
end

function slots.admits(cell, cost, most, id)
  return cost == 0 or cell.used + cost + ahead(cell, id) <= most
end

-- When the next lease ends: a release may come sooner, and a renewal moves that end.
function slots.earliest(cell, cost, most, from)
  if cell.used + cell.waiting + cost <= most then return from end
  local next = redis.call('ZRANGEBYSCORE', cell.held, afterNow, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return math.max(from, tonumber(next[2] or now + 1))
end

function slots.extend(cell, id, count, from)
  for place = 1, count do
    cell.used = cell.used + redis.call('ZADD', cell.held, from + cell.a, id .. ':' .. place)
  end
  local last = redis.call('ZRANGE', cell.held, -1, -1, 'WITHSCORES')
  redis.call('PEXPIRE', cell.held, tonumber(last[2]) - now)
end

function slots.charge(cell, when, cost, id)
  if id == '' then return end
  redis.call('ZREMRANGEBYSCORE', cell.held, '-inf', now)
  slots.extend(cell, id, cost, math.max(now, when))
  leaveLine(cell, id)
end

function slots.remaining(cell, extra, most) return math.max(0, most - cell.used - extra) end

function slots.resetAt(cell)
  local last = redis.call('ZRANGE', cell.held, -1, -1, 'WITHSCORES')
  return math.max(now, tonumber(last[2] or now))
end

function slots.save(cell)
  if cell.blocked > now then
    redis.call('ZADD', cell.held, cell.blocked, '!')
    local last = redis.call('ZRANGE', cell.held, -1, -1, 'WITHSCORES')
    redis.call('PEXPIRE', cell.held, tonumber(last[2]) - now)
  else
    redis.call('ZREM', cell.held, '!')
  end
end
