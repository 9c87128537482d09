-- Fixed window: one string 'start count'. A start in the future means that all windows before it are booked up.
-- a: window ms, b: 1 when windows start at multiples of their length, 0 at their first charge.
local fixed = {}
kinds.f = fixed

function fixed.load(cell)
  cell.span, cell.count = cell.a, 0
  cell.start = cell.b == 1 and now - now % cell.a or now
  local stored = redis.call('GET', KEYS[cell.key])
  if not stored then return end
  local space = string.find(stored, ' ', 1, true)
  local start, count = tonumber(string.sub(stored, 1, space - 1)), tonumber(string.sub(stored, space + 1))
  -- A window without charges is none: the next one starts when it is first used.
  if count > 0 and start + cell.span > now then cell.start, cell.count = start, count end
end

function fixed.admits(cell, cost, most)
  return cost == 0 and cell.count <= most or cell.start <= now and cell.count + cost <= most
end

function fixed.earliest(cell, cost, most, from)
  local at = math.max(from, cell.start)
  if cell.count + cost > most then at = math.max(at, cell.start + cell.span) end
  -- A call that starts late must not fall into the next window.
  local start = at - (at - cell.start) % cell.span
  return at + slackMs < start + cell.span and at or start + cell.span
end

function fixed.charge(cell, when, cost)
  if when < cell.start then return end
  if when >= cell.start + cell.span then
    cell.start, cell.count = when - (when - cell.start) % cell.span, 0
  end
  cell.count, cell.dirty = cell.count + cost, true
end

function fixed.book() end

function fixed.refund(cell, when, cost)
  if when < cell.start or when >= cell.start + cell.span then return end
  cell.count, cell.dirty = math.max(0, cell.count - cost), true
end

function fixed.remaining(cell, extra, most)
  return cell.start > now and 0 or math.max(0, most - cell.count - extra)
end

function fixed.resetAt(cell, extra) return cell.count + extra == 0 and now or cell.start + cell.span end

function fixed.spare(cell, leaseMs)
  if cell.start > now or now + leaseMs >= cell.start + cell.span then return 0 end
  return cell.limit - cell.count
end

function fixed.lower(cell, remaining)
  local excess = cell.limit - cell.count - remaining
  if excess > 0 then fixed.charge(cell, math.max(now, cell.start), excess) end
end

function fixed.save(cell)
  if not cell.dirty then return end
  local ttl = math.max(1, cell.start + cell.span - now)
  redis.call('SET', KEYS[cell.key], whole(cell.start) .. ' ' .. whole(cell.count), 'PX', whole(ttl))
  cell.dirty = false
end
