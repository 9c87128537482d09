-- Sliding window: a sorted set of slots (member: start, score: its last charge, ms) and a hash of their costs. The
-- current slot, which is being charged, is kept packed in field 'w' of the hash until another one begins, so most
-- decisions read and write only that field. It holds the total, the last charge, the oldest one of the sorted set (0 if
-- that is empty), the last booked time, until when the subject is blocked, and the slot: start, cost, last charge.
-- a: window ms, b: slot ms.
local window = { keys = 2 }
kinds['sliding-window'] = window

function window.load(cell)
  cell.span = cell.a
  local kept = redis.call('HGET', cell.key2, 'w')
  if kept then
    cell.total, cell.last, cell.oldest, cell.booked, cell.blocked, cell.slot, cell.here, cell.score = cmsgpack.unpack(kept)
    cell.wasBlocked = cell.blocked > now
  end
  if not kept or cell.last <= now - cell.span then
    -- The window is empty, whatever slots are still stored.
    cell.booked, cell.blocked = cell.booked or 0, cell.blocked or 0
    window.clear(cell)
    return
  end
  if cell.score <= now - cell.span then cell.total, cell.here = cell.total - cell.here, 0 end
  if cell.oldest > 0 and cell.oldest <= now - cell.span then window.expire(cell) end
end

function window.clear(cell)
  cell.total, cell.last, cell.oldest, cell.slot, cell.here, cell.score, cell.stale = 0, now - cell.span, 0, 0, 0, 0, true
end

-- Writes nothing, because a peek or a denial must change nothing. Expired slots beyond the batch go on counting, which
-- is safe.
function window.expire(cell)
  cell.expired = redis.call('ZRANGEBYSCORE', cell.key, '-inf', now - cell.span, 'LIMIT', 0, 1000)
  if #cell.expired > 0 then
    for _, cost in ipairs(redis.call('HMGET', cell.key2, unpack(cell.expired))) do
      cell.total = cell.total - (cost or 0)
    end
  end
  local next = redis.call('ZRANGE', cell.key, #cell.expired, #cell.expired, 'WITHSCORES')
  cell.oldest = tonumber(next[2] or 0)
  -- Also corrects the total if Redis evicted only the sorted set.
  if cell.oldest == 0 then cell.total = cell.here end
end

function window.admits(cell, cost, most) return cell.total + cost <= most end

-- When enough units have left the window, found by walking the slots from the oldest.
function window.earliest(cell, cost, most, from)
  local toFree = cell.total + cost - most
  if toFree <= 0 then return from end
  if cell.elsewhere or cell.taken then window.save(cell) end
  local freedAt, index, here = now, cell.expired and #cell.expired or 0, cell.here
  local function free(charged, score)
    if toFree > 0 then toFree, freedAt = toFree - charged, score end
  end
  while toFree > 0 and not cell.stale do
    local batch = redis.call('ZRANGE', cell.key, index, index + 99, 'WITHSCORES')
    if #batch == 0 then break end
    local members = {}
    for place = 1, #batch, 2 do members[#members + 1] = batch[place] end
    for place, charged in ipairs(redis.call('HMGET', cell.key2, unpack(members))) do
      local score = tonumber(batch[place * 2])
      -- The current slot is not in the sorted set, and takes its turn here.
      if here > 0 and cell.score <= score then
        free(here, cell.score)
        here = 0
      end
      free(charged or 0, score)
      if toFree <= 0 then break end
    end
    index = index + 100
  end
  if here > 0 then free(here, cell.score) end
  return math.max(from, freedAt + cell.span, cell.booked)
end

-- A slot counts until its last charge has left the window, so no unit counts for less than the window.
function window.charge(cell, when, cost)
  if when <= now - cell.span then return end
  local slot = when - when % cell.b
  if slot ~= cell.slot and slot == now - now % cell.b then window.begin(cell, slot) end
  if slot == cell.slot then
    cell.here, cell.score = cell.here + cost, math.max(cell.score, when)
  else
    window.chargeElsewhere(cell, slot, cost, when)
  end
  cell.total, cell.dirty = cell.total + cost, true
  if when > cell.last then cell.last = when end
end

-- Charges a slot other than the current one.
function window.chargeElsewhere(cell, slot, cost, score)
  cell.elsewhere = cell.elsewhere or {}
  local known = cell.elsewhere[slot]
  cell.elsewhere[slot] = { cost = (known and known.cost or 0) + cost, score = math.max(known and known.score or 0, score) }
end

-- Makes the slot of `now` the current one; the previous one joins the others.
function window.begin(cell, slot)
  if cell.here > 0 then window.chargeElsewhere(cell, cell.slot, cell.here, cell.score) end
  cell.slot, cell.here, cell.score, cell.begun = slot, 0, 0, true
  -- Calls may have been booked, or units leased, in this slot before its time came.
  if cell.last < slot or cell.stale then return end
  local score = redis.call('ZSCORE', cell.key, slot)
  if not score then return end
  cell.here, cell.score, cell.taken = tonumber(redis.call('HGET', cell.key2, slot) or 0), tonumber(score), slot
end

function window.remaining(cell, extra, most) return math.max(0, most - cell.total - extra) end

function window.resetAt(cell, extra)
  return (extra > 0 and math.max(cell.last, now) or cell.last) + cell.span
end

function window.save(cell)
  local slots, costs = cell.key, cell.key2
  if cell.stale then
    redis.call('DEL', slots, costs)
    if cell.total == 0 and cell.blocked <= now and cell.booked <= now then
      cell.dirty = false
      return
    end
  elseif cell.expired and #cell.expired > 0 then
    redis.call('HDEL', costs, unpack(cell.expired))
    redis.call('ZREM', slots, unpack(cell.expired))
  end
  if cell.taken then
    redis.call('HDEL', costs, cell.taken)
    redis.call('ZREM', slots, cell.taken)
  end
  for slot, charged in pairs(cell.elsewhere or {}) do
    redis.call('HINCRBY', costs, slot, charged.cost)
    redis.call('ZADD', slots, 'GT', charged.score, slot)
    if cell.oldest == 0 or charged.score < cell.oldest then cell.oldest = charged.score end
  end
  redis.call('HSET', costs, 'w', cmsgpack.pack(
    cell.total, cell.last, cell.oldest, cell.booked, cell.blocked, cell.slot, cell.here, cell.score))
  -- The expiry that the first charge of a slot sets includes the slot's length, so it covers later charges too.
  if cell.begun or cell.elsewhere or cell.booked > now or cell.blocked > now or cell.wasBlocked then
    local ttl = math.max(math.max(cell.last, cell.booked) + cell.span + cell.b, cell.blocked) - now
    redis.call('PEXPIRE', costs, ttl)
    if cell.oldest > 0 then redis.call('PEXPIRE', slots, ttl) end
  end
  cell.elsewhere, cell.expired, cell.taken, cell.stale, cell.begun, cell.dirty = nil, nil, nil, false, false, false
end
