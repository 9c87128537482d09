-- Reservations, bookings and leases.
--         options  of the decision that follows: 'book' to book where it can't be admitted now, else '', per mille of
--                  the limits, longest delay ms, id, index of the key of open reservations or 0, ms that they stay open
--         lease    requested with the decision that follows: cell, units, divisor, ms
--         settle   index of the key of open reservations, id, count, then each: cell, change, when it was charged
-- Reply   settle   1, or 0 if it was settled before or is too late; count of waiters whose turn it is, then their ids
function operations.options()
  local mode, part, longest = word(), word(), word()
  options = { part = part, longest = mode == 'book' and longest or nil, id = word(), open = word(), openMs = word() }
end

function operations.lease()
  leases = leases or {}
  leases[word()] = { units = word(), divisor = word(), ms = word() }
end

-- The time at which all admit. Three rounds, because a time that one limit moved may no longer suit another.
local function earliest(demands)
  local at = now
  for _ = 1, 3 do
    for _, demand in ipairs(demands) do
      at = demand.cell.kind.earliest(demand.cell, demand.cost, demand.most, at)
    end
  end
  return at
end

function book(demands)
  local inLine = false
  for _, demand in ipairs(demands) do inLine = inLine or demand.cell.kind.join and not demand.admitted end
  if inLine then
    for _, demand in ipairs(demands) do
      if demand.cell.kind.join and demand.cost > 0 then demand.cell.kind.join(demand.cell, options.id) end
    end
    return 3, 0
  end
  local delay = earliest(demands) - now
  if delay <= options.longest then return 2, delay end
  return 0, 0
end

local function grantLease(demand)
  local wish = leases[demand.index]
  if not wish then return 0 end
  local units = math.min(wish.units, math.floor(demand.cell.kind.spare(demand.cell, wish.ms) / wish.divisor))
  if units < 1 then return 0 end
  -- Charged as of the end of the lease. As of now, units that are spent late would leave the window too early.
  demand.cell.kind.charge(demand.cell, now + wish.ms, units, '')
  return units
end

function finish(demands, charged)
  if options.open and options.open > 0 then
    local open, abandoned = KEYS[options.open], 0
    if charged then
      abandoned = redis.call('ZREMRANGEBYSCORE', open, '-inf', now)
      redis.call('ZADD', open, now + options.openMs, options.id)
      redis.call('PEXPIRE', open, options.openMs)
    end
    answer(abandoned)
  end
  if leases then
    for _, demand in ipairs(demands) do answer(charged and grantLease(demand) or 0) end
  end
  options, leases = plain, nil
end

function operations.settle()
  local open, id, count = KEYS[word()], word(), word()
  local openUntil = redis.call('ZSCORE', open, id)
  local isOpen = openUntil and tonumber(openUntil) > now
  if openUntil then redis.call('ZREM', open, id) end
  local waiters = {}
  for _ = 1, count do
    local cell, change, chargedAt = cellAt(word()), word(), word()
    if cell.kind.join then
      for _, waiter in ipairs(cell.kind.refund(cell, chargedAt, -change, id)) do waiters[#waiters + 1] = waiter end
    elseif isOpen and change > 0 then
      cell.kind.charge(cell, now, change, id)
    elseif isOpen and change < 0 then
      cell.kind.refund(cell, chargedAt, -change, id)
    end
  end
  answer(isOpen and 1 or 0)
  answer(#waiters)
  for _, waiter in ipairs(waiters) do answer(waiter) end
end
