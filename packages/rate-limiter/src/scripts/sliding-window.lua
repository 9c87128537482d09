-- Sliding window: a sorted set of slots (member: start, score: its last charge, ms) and a hash of costs by slot. Beside
-- them the hash keeps 't' the total, 'l' the last charge, 'o' the oldest slot's, 'b' the last booked time, 'x' until when
-- the subject is blocked: while nothing has left the window, the sorted set need not be read.
-- a: window ms, b: slot ms.
local window = { keys = 2 }
kinds.w = window

function window.load(cell)
  local slot = now - now % cell.b
  local known = redis.call('HMGET', cell.key2, 't', 'l', 'o', 'b', 'x', slot)
  cell.span, cell.slot = cell.a, slot
  cell.last, cell.booked = tonumber(known[2] or 0), tonumber(known[4] or 0)
  cell.blocked = tonumber(known[5] or 0)
  cell.wasBlocked = cell.blocked > now
  if not known[1] or cell.last <= now - cell.span then
    -- An empty window holds nothing, whatever is left of it.
    cell.total, cell.last, cell.here, cell.stale = 0, now - cell.span, 0, true
    return
  end
  cell.total, cell.oldest, cell.here = tonumber(known[1]), tonumber(known[3] or 0), tonumber(known[6] or 0)
  if cell.oldest <= now - cell.span then window.expire(cell) end
end

-- Nothing is written here: a peek and a denial leave all as it was. What is left over by the bound of the batch goes on
-- counting, which is safe.
function window.expire(cell)
  cell.expired = redis.call('ZRANGEBYSCORE', cell.key, '-inf', now - cell.span, 'LIMIT', 0, 1000)
  if #cell.expired > 0 then
    for _, cost in ipairs(redis.call('HMGET', cell.key2, unpack(cell.expired))) do
      cell.total = cell.total - (cost or 0)
    end
  end
  local next = redis.call('ZRANGE', cell.key, #cell.expired, #cell.expired, 'WITHSCORES')
  if next[2] then
    cell.oldest = tonumber(next[2])
  else
    -- Redis evicted the slots and kept their costs.
    cell.total, cell.last, cell.here, cell.stale = 0, now - cell.span, 0, true
  end
end

function window.admits(cell, cost, most) return cell.total + cost <= most end

-- Where enough has left the window: slots are walked from the oldest.
function window.earliest(cell, cost, most, from)
  local toFree = cell.total + cost - most
  if toFree <= 0 then return from end
  if cell.dirty then window.save(cell) end
  local freedAt, index = now, cell.expired and #cell.expired or 0
  while toFree > 0 and not cell.stale do
    local batch = redis.call('ZRANGE', cell.key, index, index + 99, 'WITHSCORES')
    if #batch == 0 then break end
    local members = {}
    for place = 1, #batch, 2 do members[#members + 1] = batch[place] end
    for place, charged in ipairs(redis.call('HMGET', cell.key2, unpack(members))) do
      toFree, freedAt = toFree - (charged or 0), tonumber(batch[place * 2])
      if toFree <= 0 then break end
    end
    index = index + 100
  end
  return math.max(from, freedAt + cell.span, cell.booked)
end

-- A slot counts until its last charge has left the window, so no unit counts for less than the window.
function window.charge(cell, when, cost)
  if when <= now - cell.span then return end
  local slot = when == now and cell.slot or when - when % cell.b
  if slot == cell.slot then
    cell.added, cell.score = (cell.added or 0) + cost, math.max(cell.score or 0, when)
  else
    window.chargeElsewhere(cell, slot, cost, when)
  end
  cell.total, cell.dirty = cell.total + cost, true
  if when > cell.last then cell.last = when end
  if not cell.oldest or when < cell.oldest then cell.oldest = when end
end

-- In another slot than that of now.
function window.chargeElsewhere(cell, slot, cost, score)
  cell.elsewhere = cell.elsewhere or {}
  local known = cell.elsewhere[slot]
  cell.elsewhere[slot] = { cost = (known and known.cost or 0) + cost, score = math.max(known and known.score or 0, score) }
end

function window.remaining(cell, extra, most) return math.max(0, most - cell.total - extra) end

function window.resetAt(cell, extra)
  return (extra > 0 and math.max(cell.last, now) or cell.last) + cell.span
end

function window.save(cell)
  local slots, costs = cell.key, cell.key2
  if cell.stale then
    redis.call('DEL', slots, costs)
  elseif cell.expired and #cell.expired > 0 then
    redis.call('HDEL', costs, unpack(cell.expired))
    redis.call('ZREM', slots, unpack(cell.expired))
  end
  local isNew = false
  for slot, charged in pairs(cell.elsewhere or {}) do
    redis.call('HINCRBY', costs, slot, charged.cost)
    if redis.call('ZADD', slots, 'GT', charged.score, slot) == 1 then isNew = true end
  end
  local oldest = cell.oldest or now
  if cell.added then
    cell.here = cell.here + cell.added
    redis.call('HSET', costs, 't', cell.total, 'l', cell.last, 'o', oldest, cell.slot, cell.here)
    if redis.call('ZADD', slots, 'GT', cell.score, cell.slot) == 1 then isNew = true end
  else
    redis.call('HSET', costs, 't', cell.total, 'l', cell.last, 'o', oldest)
  end
  if cell.booked > now or cell.blocked > now or cell.wasBlocked then
    redis.call('HSET', costs, 'b', cell.booked, 'x', cell.blocked)
    isNew = true
  end
  -- A later charge of a slot can't outlive what its first one asked for.
  if isNew then
    local ttl = math.max(math.max(cell.last, cell.booked) + cell.span + cell.b, cell.blocked) - now
    redis.call('PEXPIRE', slots, ttl)
    redis.call('PEXPIRE', costs, ttl)
  end
  cell.added, cell.score, cell.elsewhere, cell.expired, cell.stale, cell.dirty = nil, nil, nil, nil, false, false
end
