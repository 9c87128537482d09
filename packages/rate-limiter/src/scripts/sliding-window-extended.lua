-- What a sliding window needs for more than plain decisions.
function window.book(cell, when) cell.booked = math.max(cell.booked, when) end

function window.refund(cell, when, cost)
  if when <= now - cell.span then return end
  if cell.elsewhere or cell.taken or cell.stale or cell.expired then window.save(cell) end
  local slot, given = when - when % cell.b, 0
  if slot == cell.slot then
    given = math.min(cost, cell.here)
    cell.here = cell.here - given
  else
    local score = redis.call('ZSCORE', cell.key, slot)
    if not score or tonumber(score) <= now - cell.span then return end
    local charged = tonumber(redis.call('HGET', cell.key2, slot) or 0)
    given = math.min(cost, charged)
    if given == charged then
      redis.call('HDEL', cell.key2, slot)
      redis.call('ZREM', cell.key, slot)
      local oldest = redis.call('ZRANGE', cell.key, 0, 0, 'WITHSCORES')
      cell.oldest = tonumber(oldest[2] or 0)
    elseif given > 0 then
      redis.call('HINCRBY', cell.key2, slot, -given)
    end
  end
  if given <= 0 then return end
  cell.total, cell.dirty = cell.total - given, true
  window.findLast(cell)
end

-- Finds the last charge that is left. The next call comes after those that still wait, but not after one that has given
-- up.
function window.findLast(cell)
  local newest = redis.call('ZRANGE', cell.key, -1, -1, 'WITHSCORES')
  local last = math.max(tonumber(newest[2] or 0), cell.here > 0 and cell.score or 0)
  cell.last = math.max(last, now - cell.span)
  if cell.booked > now then cell.booked = last > now and math.min(cell.booked, last - slackMs) or 0 end
  -- The keys of an empty window are deleted.
  if cell.total == 0 then window.clear(cell) end
end

function window.spare(cell) return cell.limit - cell.total end

-- Adds a charge that leaves the window when the provider's own count resets.
function window.lower(cell, remaining, resetMs)
  local excess = cell.limit - cell.total - remaining
  if excess > 0 then window.charge(cell, now + resetMs - cell.span, excess) end
end
