-- Sliding window: a sorted set of slots (member: start, score: its last charge, ms) and a hash of costs by slot,
-- with their total in field 't' and the last booked time in 'b'. a: window ms, b: slot ms.
local window = {}
kinds.w = window

function window.load(cell)
  cell.slots, cell.costs, cell.span = KEYS[cell.key], KEYS[cell.key + 1], cell.a
  cell.added, cell.scores, cell.expired, cell.booked = {}, {}, {}, 0
  local newest = redis.call('ZRANGE', cell.slots, -1, -1, 'WITHSCORES')
  cell.last = tonumber(newest[2] or now - cell.span)
  if cell.last > now - cell.span then
    local known = redis.call('HMGET', cell.costs, 't', 'b')
    cell.total, cell.booked = tonumber(known[1] or 0), tonumber(known[2] or 0)
    -- Nothing is written here: a peek and a denial leave all as it was. What is left over by the bound of
    -- the batch goes on counting, which is safe.
    cell.expired = redis.call('ZRANGEBYSCORE', cell.slots, '-inf', now - cell.span, 'LIMIT', 0, 1000)
    if #cell.expired > 0 then
      for _, cost in ipairs(redis.call('HMGET', cell.costs, unpack(cell.expired))) do
        cell.total = cell.total - (cost or 0)
      end
    end
  else
    -- An empty window holds nothing, whatever became of its total (Redis may have evicted one of the keys).
    cell.total, cell.last, cell.stale = 0, now - cell.span, true
  end
end

function window.admits(cell, cost, most) return cell.total + cost <= most end

-- Where enough has left the window: slots are walked from the oldest.
function window.earliest(cell, cost, most, from)
  local toFree = cell.total + cost - most
  if toFree <= 0 then return from end
  if next(cell.added) then window.save(cell) end
  local freedAt, index = now, #cell.expired
  while toFree > 0 and not cell.stale do
    local batch = redis.call('ZRANGE', cell.slots, index, index + 99, 'WITHSCORES')
    if #batch == 0 then break end
    local members = {}
    for place = 1, #batch, 2 do members[#members + 1] = batch[place] end
    for place, charged in ipairs(redis.call('HMGET', cell.costs, unpack(members))) do
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
  local slot = whole(when - when % cell.b)
  cell.added[slot] = (cell.added[slot] or 0) + cost
  cell.scores[slot] = math.max(cell.scores[slot] or 0, when)
  cell.total, cell.last, cell.dirty = cell.total + cost, math.max(cell.last, when), true
end

function window.book(cell, when) cell.booked = math.max(cell.booked, when) end

function window.refund(cell, when, cost)
  if when <= now - cell.span then return end
  local slot = whole(when - when % cell.b)
  local score = redis.call('ZSCORE', cell.slots, slot)
  local stored = 0
  if score and tonumber(score) > now - cell.span then
    stored = tonumber(redis.call('HGET', cell.costs, slot) or 0)
  end
  local given = math.min(cost, stored + (cell.added[slot] or 0))
  if given <= 0 then return end
  cell.added[slot] = (cell.added[slot] or 0) - given
  cell.scores[slot] = math.max(cell.scores[slot] or 0, tonumber(score or when))
  cell.total, cell.dirty = cell.total - given, true
end

function window.remaining(cell, extra, most) return math.max(0, most - cell.total - extra) end

function window.resetAt(cell, extra)
  return (extra > 0 and math.max(cell.last, now) or cell.last) + cell.span
end

function window.spare(cell) return cell.limit - cell.total end

-- A charge that lapses when the provider says that its own count does.
function window.lower(cell, remaining, resetMs)
  local excess = cell.limit - cell.total - remaining
  if excess > 0 then window.charge(cell, now + resetMs - cell.span, excess) end
end

function window.save(cell)
  if not cell.dirty then return end
  if cell.stale then
    redis.call('DEL', cell.slots, cell.costs)
  elseif #cell.expired > 0 then
    redis.call('HDEL', cell.costs, unpack(cell.expired))
    redis.call('ZREM', cell.slots, unpack(cell.expired))
  end
  local isNew = false
  for slot, cost in pairs(cell.added) do
    redis.call('HINCRBY', cell.costs, slot, whole(cost))
    if redis.call('ZADD', cell.slots, 'GT', whole(cell.scores[slot]), slot) == 1 then isNew = true end
  end
  if cell.booked > now then
    redis.call('HSET', cell.costs, 't', whole(cell.total), 'b', whole(cell.booked))
  else
    redis.call('HSET', cell.costs, 't', whole(cell.total))
  end
  -- A later charge of a slot can't outlive what its first one asked for.
  if isNew then
    local ttl = whole(math.max(cell.last, cell.booked) + cell.span + cell.b - now)
    redis.call('PEXPIRE', cell.slots, ttl)
    redis.call('PEXPIRE', cell.costs, ttl)
  end
  cell.added, cell.scores, cell.expired, cell.stale, cell.dirty = {}, {}, {}, false, false
end
