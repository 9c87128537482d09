-- What a concurrency needs for more than plain decisions.
function slots.join(cell, id)
  leaveOutTheDead(cell)
  local newest = redis.call('ZRANGE', cell.line, -1, -1, 'WITHSCORES')
  redis.call('ZADD', cell.line, 'NX', math.max(now, tonumber(newest[2] or 0) + 1), id)
  if redis.call('ZADD', cell.alive, now + cell.b, id) == 1 then cell.waiting = cell.waiting + 1 end
  redis.call('PEXPIRE', cell.line, cell.b)
  redis.call('PEXPIRE', cell.alive, cell.b)
end

function slots.book() end

-- Releases the slots, and returns the waiters that may take slots now.
function slots.refund(cell, _, cost, id)
  local given = 0
  for place = 1, cost do given = given + redis.call('ZREM', cell.held, id .. ':' .. place) end
  cell.used = math.max(0, cell.used - given)
  leaveLine(cell, id)
  if cell.waiting == 0 or cell.used >= cell.limit then return {} end
  return redis.call('ZRANGE', cell.line, 0, cell.limit - cell.used - 1)
end

-- Never restores a slot that was lost meanwhile: another caller may hold it by now.
function slots.renew(cell, id, held)
  for place = 1, held do
    local score = redis.call('ZSCORE', cell.held, id .. ':' .. place)
    if not score or tonumber(score) <= now then return false end
  end
  slots.extend(cell, id, held, now)
  return true
end

function slots.spare() return 0 end
function slots.lower() end
