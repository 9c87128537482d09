-- What a sliding window needs for more than plain decisions.
function window.book(cell, when) cell.booked = math.max(cell.booked, when) end

function window.refund(cell, when, cost)
  if when <= now - cell.span then return end
  local slot, given = when - when % cell.b, 0
  if slot == cell.slot then
    given = math.min(cost, cell.here)
    cell.here = cell.here - given
  else
    if cell.elsewhere or cell.taken then window.save(cell) end
    local score = redis.call('ZSCORE', cell.key, slot)
    if not score or cell.stale or tonumber(score) <= now - cell.span then return end
    given = math.min(cost, tonumber(redis.call('HGET', cell.key2, slot) or 0))
    if given > 0 then window.chargeElsewhere(cell, slot, -given, tonumber(score)) end
  end
  if given > 0 then cell.total, cell.dirty = cell.total - given, true end
end

function window.spare(cell) return cell.limit - cell.total end

-- A charge that lapses when the provider says that its own count does.
function window.lower(cell, remaining, resetMs)
  local excess = cell.limit - cell.total - remaining
  if excess > 0 then window.charge(cell, now + resetMs - cell.span, excess) end
end
