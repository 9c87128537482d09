-- Concurrency: a sorted set of held slots (member: holder:number, score: when its lease ends, ms), and two of
-- those who wait: 'line' (score: order of arrival) and 'alive' (score: until when a waiter counts).
-- a: lease ms, b: ms after which a waiter that does not ask again is left out.
local slots = {}
kinds.c = slots

function slots.load(cell)
  cell.held, cell.line, cell.alive = KEYS[cell.key], KEYS[cell.key + 1], KEYS[cell.key + 2]
  cell.used = redis.call('ZCOUNT', cell.held, '(' .. whole(now), '+inf')
  cell.waiting = redis.call('ZCOUNT', cell.alive, '(' .. whole(now), '+inf')
end

local function leaveLine(cell, id)
  redis.call('ZREM', cell.line, id)
  if redis.call('ZREM', cell.alive, id) == 1 then cell.waiting = cell.waiting - 1 end
end

local function leaveOutTheDead(cell)
  local dead = redis.call('ZRANGEBYSCORE', cell.alive, '-inf', whole(now), 'LIMIT', 0, 1000)
  if #dead == 0 then return end
  redis.call('ZREM', cell.line, unpack(dead))
  redis.call('ZREM', cell.alive, unpack(dead))
end

-- Who are before this one: all, unless it has joined already.
local function ahead(cell, id)
  if cell.waiting == 0 then return 0 end
  leaveOutTheDead(cell)
  return id ~= '' and redis.call('ZRANK', cell.line, id) or cell.waiting
end

function slots.admits(cell, cost, most, id)
  return cost == 0 or cell.used + cost + ahead(cell, id) <= most
end

-- At the latest; a release may come sooner.
function slots.earliest(cell, cost, most, from)
  if cell.used + cell.waiting + cost <= most then return from end
  local next = redis.call('ZRANGEBYSCORE', cell.held, '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return math.max(from, tonumber(next[2] or now + 1))
end

function slots.join(cell, id)
  leaveOutTheDead(cell)
  local newest = redis.call('ZRANGE', cell.line, -1, -1, 'WITHSCORES')
  redis.call('ZADD', cell.line, 'NX', whole(math.max(now, tonumber(newest[2] or 0) + 1)), id)
  if redis.call('ZADD', cell.alive, whole(now + cell.b), id) == 1 then cell.waiting = cell.waiting + 1 end
  redis.call('PEXPIRE', cell.line, whole(cell.b))
  redis.call('PEXPIRE', cell.alive, whole(cell.b))
end

function slots.extend(cell, id, count, from)
  for place = 1, count do
    cell.used = cell.used + redis.call('ZADD', cell.held, whole(from + cell.a), id .. ':' .. place)
  end
  local last = redis.call('ZRANGE', cell.held, -1, -1, 'WITHSCORES')
  redis.call('PEXPIRE', cell.held, whole(tonumber(last[2]) - now))
end

function slots.charge(cell, when, cost, id)
  if id == '' then return end
  redis.call('ZREMRANGEBYSCORE', cell.held, '-inf', whole(now))
  slots.extend(cell, id, cost, math.max(now, when))
  leaveLine(cell, id)
end

function slots.book() end

-- Gives the slots back, and says who may take them.
function slots.refund(cell, _, cost, id)
  local given = 0
  for place = 1, cost do given = given + redis.call('ZREM', cell.held, id .. ':' .. place) end
  cell.used = math.max(0, cell.used - given)
  leaveLine(cell, id)
  if cell.waiting == 0 or cell.used >= cell.limit then return {} end
  return redis.call('ZRANGE', cell.line, 0, cell.limit - cell.used - 1)
end

-- Never brings a slot back that was lost meanwhile: somebody else may hold it by now.
function slots.renew(cell, id, held)
  for place = 1, held do
    local score = redis.call('ZSCORE', cell.held, id .. ':' .. place)
    if not score or tonumber(score) <= now then return false end
  end
  slots.extend(cell, id, held, now)
  return true
end

function slots.remaining(cell, extra, most) return math.max(0, most - cell.used - extra) end

function slots.resetAt(cell)
  local last = redis.call('ZRANGE', cell.held, -1, -1, 'WITHSCORES')
  return math.max(now, tonumber(last[2] or now))
end

function slots.spare() return 0 end
function slots.lower() end
function slots.save() end
