-- Token bucket, kept as a leaky meter: one packed string with the level in units of 1/every tokens and its time, and,
-- if there are any, until when the subject is blocked (or 0), and the bookings (charges as of a later time): a flat list
-- of time and units, sorted by time. a: refill, b: every ms.
--- @include "sorted-pairs"
local bucket = { keys = 1 }
kinds['token-bucket'] = bucket

-- A clock that stepped back refills nothing.
local function refilled(cell, level, elapsed)
  if elapsed <= 0 then return level end
  -- Compares before it multiplies: after years without a charge, the product would not be an exact integer.
  if elapsed >= level / cell.a then return 0 end
  return level - cell.a * elapsed
end

local function refill(cell, to)
  cell.level = refilled(cell, cell.level, to - cell.at)
  cell.at = math.max(cell.at, to)
end

function bucket.load(cell)
  cell.level, cell.at, cell.blocked, cell.bookings, cell.booked = 0, 0, 0, {}, 0
  local stored = redis.call('GET', cell.key)
  if not stored then return end
  local level, at, blocked, bookings = cmsgpack.unpack(stored)
  cell.level, cell.at, cell.blocked = level, at, blocked or 0
  if not bookings then return end
  local left = {}
  for place = 1, #bookings, 2 do
    local when, units = bookings[place], bookings[place + 1]
    if when <= now then
      refill(cell, when)
      cell.level = cell.level + units
    else
      left[#left + 1], left[#left + 2] = when, units
      cell.booked = cell.booked + units
    end
  end
  cell.bookings = left
end

function bucket.admits(cell, cost, most)
  refill(cell, now)
  return cell.level + cell.booked + cost * cell.b <= most * cell.b
end

-- The level at the last booking, and its time.
local function afterBookings(cell, level)
  local at = now
  for place = 1, #cell.bookings, 2 do
    level = refilled(cell, level, cell.bookings[place] - at) + cell.bookings[place + 1]
    at = math.max(at, cell.bookings[place])
  end
  return level, at
end

-- No call comes before the last booking, which is charged as of the end of its slack.
function bucket.earliest(cell, cost, most, from)
  local level, at = afterBookings(cell, cell.level)
  local first = #cell.bookings == 0 and now or at - slackMs
  return math.max(from, first, at + math.ceil((level + cost * cell.b - most * cell.b) / cell.a))
end

function bucket.charge(cell, when, cost)
  refill(cell, math.min(when, now))
  cell.dirty = true
  if when > now then bucket.bookAt(cell, when, cost * cell.b) else cell.level = cell.level + cost * cell.b end
end

-- More than 128 bookings are merged in pairs, each pair as of the later one's time.
local function joined(bookings)
  local result = {}
  for place = 1, #bookings, 4 do
    local last = bookings[place + 2] and place + 2 or place
    result[#result + 1] = bookings[last]
    result[#result + 1] = bookings[place + 1] + (last > place and bookings[place + 3] or 0)
  end
  return result
end

function bucket.bookAt(cell, when, units)
  cell.booked = cell.booked + units
  addAt(cell.bookings, when, units)
  if #cell.bookings > 256 then cell.bookings = joined(cell.bookings) end
end

-- 0 if the capacity was lowered below what was taken.
function bucket.remaining(cell, extra, most)
  return math.max(0, math.floor((most * cell.b - cell.level - cell.booked - extra * cell.b) / cell.b))
end

function bucket.resetAt(cell, extra)
  local level, at = afterBookings(cell, cell.level + extra * cell.b)
  return at + math.ceil(level / cell.a)
end

function bucket.save(cell)
  refill(cell, now)
  local level, at = afterBookings(cell, cell.level)
  local ttl = math.max(1, math.ceil(level / cell.a) + math.max(at, cell.at) - now, cell.blocked - now)
  local blocked = cell.blocked > now and cell.blocked or 0
  local value
  if #cell.bookings > 0 then
    value = cmsgpack.pack(cell.level, cell.at, blocked, cell.bookings)
  elseif blocked > 0 then
    value = cmsgpack.pack(cell.level, cell.at, blocked)
  else
    value = cmsgpack.pack(cell.level, cell.at)
  end
  redis.call('SET', cell.key, value, 'PX', ttl)
end
