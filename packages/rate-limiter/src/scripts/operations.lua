-- Runs the operations of one call in order, in one atomic step: decisions, settlements, charges of an outage,
-- and what a provider said of its own limits. None is seen half done, and none sees another half done.
--
-- KEYS  of each cell in order: sliding window 2, token bucket 1, fixed window 1, concurrency 3 (see their files);
--       then blocks, open reservations and markers, named by their index
-- ARGV  now in ms for tests, '' for the server's own clock
--       definitions: count, then each: kind, limit, a, b
--       cells: count, then each: definition, index of its first key, index of its subject's block
--       operations, each a letter and its arguments:
--         o  options of the decision that follows: mode ('c' charge, 'b' book), per mille of the limits,
--            longest delay ms, id, index of open reservations, ms that they stay open
--         l  wish of a lease for the decision that follows: cell, units, divisor, ms
--         c, p  decide and charge, decide only: count, then each: cell, cost
--         s  settle: index of open reservations, id, count, then each: cell, change, when it was charged
--         k  keep slots: cell, id, slots, '1' to hold them even if they were lost
--         m  merge: cell, index of the marker, sequence, count, then each: age ms, cost
--         g  give back: cell, units, when they were charged
--         n  learn: cell, remaining, ms to reset
-- Reply an array for each operation but o and l
--         c, p  code (0 denied, 1 allowed, 2 booked, 3 in line), blocked for ms, delay ms, charged as of ms,
--               reservations found abandoned, then for each cell: allowed, remaining, retry after ms, reset at ms,
--               units leased
--         s  1 or, where it was settled before, 0; then the waiters whose turn it is
--         k  1 or, where they were lost, 0
--         g, m, n  1 or, where nothing changed, 0
local definitions = {}
for index = 1, number() do
  definitions[index] = { kind = kinds[word()], limit = number(), a = number(), b = number() }
end

local cells = {}
for index = 1, number() do
  local definition = definitions[number()]
  cells[index] = {
    kind = definition.kind, limit = definition.limit, a = definition.a, b = definition.b,
    key = number(), block = number(),
  }
end

local function cellAt(index)
  local cell = cells[index]
  if not cell.loaded then
    cell.kind.load(cell)
    cell.loaded = true
  end
  return cell
end

local blocks = {}
local function blockedFor(key)
  if not blocks[key] then blocks[key] = math.max(0, redis.call('PTTL', KEYS[key])) end
  return blocks[key]
end

local plain = { mode = 'c', part = 1000, longest = 0, id = '' }
local options, leases = plain, nil

local function readOptions()
  options = {
    mode = word(), part = number(), longest = number(), id = word(), open = number(), openMs = number(),
  }
end

local function readLease()
  leases = leases or {}
  leases[number()] = { units = number(), divisor = number(), ms = number() }
end

-- The time at which all admit: a later time for one may be too late for another.
local function earliest(demands)
  local at = now
  for _ = 1, 3 do
    for _, demand in ipairs(demands) do
      at = demand.cell.kind.earliest(demand.cell, demand.cost, demand.most, at)
    end
  end
  return at
end

local function openReservation()
  if options.id == '' or options.open == 0 then return 0 end
  local open = KEYS[options.open]
  local abandoned = redis.call('ZREMRANGEBYSCORE', open, '-inf', whole(now))
  redis.call('ZADD', open, whole(now + options.openMs), options.id)
  redis.call('PEXPIRE', open, whole(options.openMs))
  return abandoned
end

local function grantLease(demand)
  local wish = leases and leases[demand.index]
  if not wish then return 0 end
  local units = math.min(wish.units, math.floor(demand.cell.kind.spare(demand.cell, wish.ms) / wish.divisor))
  if units < 1 then return 0 end
  -- As of the lease's end: charged as of now, what is spent late would leave the window too early.
  demand.cell.kind.charge(demand.cell, now + wish.ms, units, '')
  return units
end

local function decide(charging)
  local demands, allowed, inLine, blocked = {}, true, false, 0
  for place = 1, number() do
    local index, cost = number(), number()
    local cell = cellAt(index)
    local most = options.part == 1000 and cell.limit or math.floor(cell.limit * options.part / 1000)
    local admitted = cell.kind.admits(cell, cost, most, options.id)
    demands[place] = { index = index, cell = cell, cost = cost, most = most, admitted = admitted }
    allowed = allowed and admitted
    if not admitted and cell.kind.join then inLine = true end
    blocked = math.max(blocked, blockedFor(cell.block))
  end
  allowed = allowed and blocked == 0

  local code, at, abandoned = allowed and 1 or 0, now, 0
  if not allowed and options.mode == 'b' and blocked == 0 then
    if inLine then
      code = 3
      for _, demand in ipairs(demands) do
        if demand.cell.kind.join and demand.cost > 0 then demand.cell.kind.join(demand.cell, options.id) end
      end
    else
      at = earliest(demands)
      if at - now <= options.longest then code = 2 end
    end
  end
  local charged = charging and (code == 1 or code == 2)
  local chargedAt = code == 2 and at + slackMs or now
  if charged then
    for _, demand in ipairs(demands) do
      if demand.cost > 0 then
        demand.cell.kind.charge(demand.cell, chargedAt, demand.cost, options.id)
        if code == 2 then demand.cell.kind.book(demand.cell, at) end
      end
    end
    abandoned = openReservation()
  end

  local reply = { code, blocked, code == 2 and at - now or 0, chargedAt, abandoned }
  for _, demand in ipairs(demands) do
    local cell, most = demand.cell, demand.most
    local admitted = code == 1 or code == 2 or demand.admitted
    -- What is not charged but will be admitted is told as if it were charged.
    local extra = code == 1 and not charging and demand.cost or 0
    reply[#reply + 1] = admitted and 1 or 0
    reply[#reply + 1] = cell.kind.remaining(cell, extra, most)
    reply[#reply + 1] = admitted and 0 or cell.kind.earliest(cell, demand.cost, most, now) - now
    reply[#reply + 1] = cell.kind.resetAt(cell, extra)
    reply[#reply + 1] = charged and grantLease(demand) or 0
  end
  options, leases = plain, nil
  return reply
end

local function settle()
  local open, id, count = number(), word(), number()
  local openUntil = redis.call('ZSCORE', KEYS[open], id)
  local isOpen = openUntil and tonumber(openUntil) > now
  if openUntil then redis.call('ZREM', KEYS[open], id) end
  local reply = { isOpen and 1 or 0 }
  for _ = 1, count do
    local cell, change, chargedAt = cellAt(number()), number(), number()
    if cell.kind.join then
      for _, waiter in ipairs(cell.kind.refund(cell, chargedAt, -change, id)) do reply[#reply + 1] = waiter end
    elseif isOpen and change > 0 then
      cell.kind.charge(cell, now, change, id)
    elseif isOpen and change < 0 then
      cell.kind.refund(cell, chargedAt, -change, id)
    end
  end
  return reply
end

local function keep()
  local cell, id, held, adopting = cellAt(number()), word(), number(), word() == '1'
  local kept = cell.kind.renew(cell, id, held)
  if not kept and adopting then cell.kind.charge(cell, now, held, id) end
  return { (kept or adopting) and 1 or 0 }
end

local function merge()
  local cell, marker, sequence, count = cellAt(number()), KEYS[number()], number(), number()
  local isNew = tonumber(redis.call('GET', marker) or 0) < sequence
  if isNew then
    local oldest = 0
    for _ = 1, count do
      local age, cost = number(), number()
      oldest = math.max(oldest, age)
      cell.kind.charge(cell, now - age, cost, '')
    end
    redis.call('SET', marker, whole(sequence), 'PX', whole(math.max(60000, cell.a + oldest)))
  else
    position = position + 2 * count
  end
  return { isNew and 1 or 0 }
end

local function giveBack()
  local cell, units, chargedAt = cellAt(number()), number(), number()
  cell.kind.refund(cell, chargedAt, units, '')
  return { cell.dirty and 1 or 0 }
end

local function learn()
  local cell, remaining, resetMs = cellAt(number()), number(), number()
  cell.kind.lower(cell, remaining, resetMs)
  return { cell.dirty and 1 or 0 }
end

local replies = {}
local function answer(reply) replies[#replies + 1] = reply end
while position < #ARGV do
  local operation = word()
  if operation == 'c' then answer(decide(true))
  elseif operation == 'p' then answer(decide(false))
  elseif operation == 'o' then readOptions()
  elseif operation == 'l' then readLease()
  elseif operation == 's' then answer(settle())
  elseif operation == 'k' then answer(keep())
  elseif operation == 'm' then answer(merge())
  elseif operation == 'g' then answer(giveBack())
  elseif operation == 'n' then answer(learn())
  end
end
for _, cell in ipairs(cells) do
  if cell.loaded then cell.kind.save(cell) end
end
return replies
