-- Runs the operations of one call in order, in one atomic step.
--
-- KEYS  of each cell in order, as many as its kind has (see their files); then others, which arguments name by index
-- ARGV  1 a JSON array of whole numbers and words:
--       now in ms for tests, 0 for the server's own clock
--       definitions: count, then each: kind, limit, a, b
--       cells: count, then each: its definition
--       operations, each its name and its arguments:
--         decide        decide and charge: cell, cost
--         charge, peek  decide and charge, decide only, for several: count, then each: cell, cost
--       and those of reserve.lua, slots.lua, recover.lua and admin.lua
-- Reply a flat array: now, then for each operation
--         decide, charge, peek
--           1 (allowed), then for each cell: remaining, reset in ms; or 0 (denied), 2 (booked), 3 (queued), then
--           blocked for ms, delay ms, and for each cell: allowed, remaining, retry after ms, reset in ms
--           after `options` with open reservations: how many were found abandoned; after `lease`: units leased of
--           each cell
local definitions, cells = {}, {}
for index = 1, word() do
  definitions[index] = { kinds[word()], word(), word(), word() }
end
do
  local key = 1
  for index = 1, word() do
    local definition = definitions[word()]
    local kind = definition[1]
    local cell = { kind = kind, limit = definition[2], a = definition[3], b = definition[4], key = KEYS[key] }
    if kind.keys > 1 then cell.key2 = KEYS[key + 1] end
    if kind.keys > 2 then cell.key3 = KEYS[key + 2] end
    key = key + kind.keys
    cells[index] = cell
  end
end

local function cellAt(index)
  local cell = cells[index]
  if not cell.loaded then
    cell.kind.load(cell)
    cell.loaded = true
  end
  return cell
end

local operations = {}

function operations.decide()
  local cell = cellAt(word())
  decideOne(cell, word())
end

-- Set by reserve.lua: how the next decision differs from a plain one.
local plain = { part = 1000, id = '' }
local options, leases = plain, nil
local book, finish

local function decide(charging)
  local count = word()
  local demands, allowed, blocked = {}, true, 0
  for place = 1, count do
    local index, cost = word(), word()
    local cell = cellAt(index)
    local most = options.part == 1000 and cell.limit or math.floor(cell.limit * options.part / 1000)
    local admitted = cell.kind.admits(cell, cost, most, options.id)
    demands[place] = { index = index, cell = cell, cost = cost, most = most, admitted = admitted }
    allowed = allowed and admitted
    blocked = math.max(blocked, cell.blocked - now)
  end
  allowed = allowed and blocked <= 0

  local code, delay = allowed and 1 or 0, 0
  if not allowed and blocked <= 0 and options.longest then code, delay = book(demands) end
  local admitted = code == 1 or code == 2
  if charging and admitted then
    local chargedAt = code == 2 and now + delay + slackMs or now
    for _, demand in ipairs(demands) do
      if demand.cost > 0 then
        demand.cell.kind.charge(demand.cell, chargedAt, demand.cost, options.id)
        if code == 2 then demand.cell.kind.book(demand.cell, now + delay) end
      end
    end
  end

  answer(code)
  if code == 1 then
    for _, demand in ipairs(demands) do
      -- A peek that would be admitted reports what would be left after the charge.
      local extra = charging and 0 or demand.cost
      answer(demand.cell.kind.remaining(demand.cell, extra, demand.most))
      answer(demand.cell.kind.resetAt(demand.cell, extra) - now)
    end
  else
    answer(math.max(0, blocked))
    answer(delay)
    for _, demand in ipairs(demands) do
      answerDenied(demand.cell, demand.cost, demand.most, admitted or demand.admitted)
    end
  end
  if options ~= plain or leases then finish(demands, charging and admitted) end
end

function operations.charge() decide(true) end
function operations.peek() decide(false) end
