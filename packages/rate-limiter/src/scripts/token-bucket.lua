-- Token bucket, kept as a leaky meter: one string 'level at', the level in units of 1/every tokens.
-- a: refill, b: every ms.
local bucket = {}
kinds.b = bucket

function bucket.load(cell)
  cell.capacity = cell.limit * cell.b
  local stored = redis.call('GET', KEYS[cell.key])
  cell.level, cell.at = 0, 0
  if stored then
    local space = string.find(stored, ' ', 1, true)
    cell.level, cell.at = tonumber(string.sub(stored, 1, space - 1)), tonumber(string.sub(stored, space + 1))
  end
end

-- A clock that stepped back refills nothing.
local function refill(cell, to)
  local elapsed = math.max(0, to - cell.at)
  -- Compared before multiplying: after years away the product would leave the exact numbers.
  if elapsed >= cell.level / cell.a then cell.level = 0 else cell.level = cell.level - cell.a * elapsed end
  cell.at = math.max(cell.at, to)
end

function bucket.admits(cell, cost, most)
  refill(cell, now)
  return cell.level + cost * cell.b <= most * cell.b
end

function bucket.earliest(cell, cost, most, from)
  local over = cell.level + cost * cell.b - most * cell.b
  return math.max(from, now + math.ceil(math.max(0, over) / cell.a))
end

-- What is used later is charged as of then: until that time the bucket must not refill on its account.
function bucket.charge(cell, when, cost)
  refill(cell, math.min(when, now))
  cell.level = math.max(cell.level, cell.a * math.max(0, when - now)) + cost * cell.b
  cell.dirty = true
end

function bucket.book() end

function bucket.refund(cell, _, cost)
  refill(cell, now)
  cell.level, cell.dirty = math.max(0, cell.level - cost * cell.b), true
end

-- Negative where the capacity became smaller than what was taken.
function bucket.remaining(cell, extra, most)
  return math.max(0, math.floor((most * cell.b - cell.level - extra * cell.b) / cell.b))
end

function bucket.resetAt(cell, extra) return now + math.ceil((cell.level + extra * cell.b) / cell.a) end

function bucket.spare(cell, leaseMs)
  return math.floor((cell.capacity - math.max(cell.level, cell.a * leaseMs)) / cell.b)
end

function bucket.lower(cell, remaining)
  refill(cell, now)
  local wanted = cell.capacity - remaining * cell.b
  if wanted > cell.level then cell.level, cell.dirty = wanted, true end
end

function bucket.save(cell)
  if not cell.dirty then return end
  refill(cell, now)
  local ttl = math.ceil(cell.level / cell.a) + math.max(0, cell.at - now)
  redis.call('SET', KEYS[cell.key], whole(cell.level) .. ' ' .. whole(cell.at), 'PX', whole(math.max(1, ttl)))
  cell.dirty = false
end
