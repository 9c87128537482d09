-- Fixed window: one string, packed: start, count, and, of a blocked subject, until when. A start in the future means
-- that all windows before it are booked up.
-- a: window ms, b: 1 when windows start at multiples of their length, 0 at their first charge.
local fixed = { keys = 1 }
kinds['fixed-window'] = fixed

function fixed.load(cell)
  cell.span, cell.count, cell.blocked = cell.a, 0, 0
  cell.start = cell.b == 1 and now - now % cell.a or now
  local stored = redis.call('GET', cell.key)
  if not stored then return end
  local start, count, blocked = cmsgpack.unpack(stored)
  cell.blocked = blocked or 0
  -- A window without charges is none: the next one starts when it is first used.
  if count > 0 then
    if start + cell.span > now then cell.start, cell.count = start, count else cell.ended = start + cell.span end
  end
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
  -- A charge of an outage that was the first of its window: that starts with it.
  if cell.b == 0 and cell.count == 0 and when < cell.start and when > now - cell.span and when >= (cell.ended or 0) then
    cell.start = when
  end
  if when < cell.start then return end
  if when >= cell.start + cell.span then
    cell.start, cell.count = when - (when - cell.start) % cell.span, 0
  end
  cell.count, cell.dirty = cell.count + cost, true
end

function fixed.remaining(cell, extra, most)
  return cell.start > now and 0 or math.max(0, most - cell.count - extra)
end

function fixed.resetAt(cell, extra) return cell.count + extra == 0 and now or cell.start + cell.span end

function fixed.save(cell)
  local ttl = math.max(1, cell.start + cell.span - now, cell.blocked - now)
  local value = cell.blocked > now and cmsgpack.pack(cell.start, cell.count, cell.blocked)
    or cmsgpack.pack(cell.start, cell.count)
  redis.call('SET', cell.key, value, 'PX', ttl)
end
