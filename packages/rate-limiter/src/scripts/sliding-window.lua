-- Sliding window: a sorted set of slots (member: start, score: its last charge, ms) and a hash of costs by slot. Beside
-- them the hash keeps 't' the total, 'l' the last charge, 'o' the oldest slot's, 'b' the last booked time, 'x' until when
-- the subject is blocked: while nothing has left the window, the sorted set need not be read.
-- a: window ms, b: slot ms.
local window = { keys = 2 }
kinds.w = window

function window.load(cell)
  local slot = now - now % cell.b
  local known = redis.call('HMGET', cell.key2, 't', 'l', 'o', 'b', 'x', slot)
  cell.span, cell.slot, cell.added, cell.expired = cell.a, slot, {}, nil
  cell.last, cell.booked = tonumber(known[2] or 0), tonumber(known[4] or 0)
  cell.blocked = tonumber(known[5] or 0)
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
  if next(cell.added) then window.save(cell) end
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
  local added = cell.added[slot]
  if added then
    added.cost, added.score = added.cost + cost, math.max(added.score, when)
  else
    cell.added[slot] = { cost = cost, score = when }
  end
  cell.total, cell.dirty = cell.total + cost, true
  if when > cell.last then cell.last = when end
  if not cell.oldest or when < cell.oldest then cell.oldest = when end
end

function window.remaining(cell, extra, most) return math.max(0, most - cell.total - extra) end

function window.resetAt(cell, extra)
  return (extra > 0 and math.max(cell.last, now) or cell.last) + cell.span
end

function window.save(cell)
  if cell.stale then
    redis.call('DEL', cell.key, cell.key2)
    cell.stale = false
  elseif cell.expired and #cell.expired > 0 then
    redis.call('HDEL', cell.key2, unpack(cell.expired))
    redis.call('ZREM', cell.key, unpack(cell.expired))
    cell.expired = nil
  end
  local isNew = false
  for slot, added in pairs(cell.added) do
    if redis.call('ZADD', cell.key, 'GT', added.score, slot) == 1 then isNew = true end
    if slot ~= cell.slot then redis.call('HINCRBY', cell.key2, slot, added.cost) end
  end
  local here = cell.added[cell.slot]
  if here then cell.here = cell.here + here.cost end
  cell.added = {}
  local oldest = cell.oldest or now
  if cell.booked > now or cell.blocked > now then
    redis.call('HSET', cell.key2, 't', cell.total, 'l', cell.last, 'o', oldest, 'b', cell.booked, 'x', cell.blocked)
    isNew = true
  elseif not here then
    redis.call('HSET', cell.key2, 't', cell.total, 'l', cell.last, 'o', oldest, 'x', 0)
  end
  if here then redis.call('HSET', cell.key2, 't', cell.total, 'l', cell.last, 'o', oldest, cell.slot, cell.here) end
  -- A later charge of a slot can't outlive what its first one asked for.
  if isNew then
    local ttl = math.max(math.max(cell.last, cell.booked) + cell.span + cell.b, cell.blocked) - now
    redis.call('PEXPIRE', cell.key, ttl)
    redis.call('PEXPIRE', cell.key2, ttl)
  end
end
