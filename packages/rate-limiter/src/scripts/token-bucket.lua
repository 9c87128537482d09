-- Token bucket, kept as a leaky meter: one string, packed: the level in units of 1/every tokens, its time, and, of a
-- blocked subject, until when. a: refill, b: every ms.
local bucket = { keys = 1 }
kinds['token-bucket'] = bucket

-- A clock that stepped back refills nothing.
local function refill(cell, to)
  local elapsed = math.max(0, to - cell.at)
  -- Compared before multiplying: after years away the product would leave the exact numbers.
  if elapsed >= cell.level / cell.a then cell.level = 0 else cell.level = cell.level - cell.a * elapsed end
  cell.at = math.max(cell.at, to)
end

function bucket.load(cell)
  cell.level, cell.at, cell.blocked = 0, 0, 0
  local stored = redis.call('GET', cell.key)
  if not stored then return end
  local level, at, blocked = cmsgpack.unpack(stored)
  cell.level, cell.at, cell.blocked = level, at, blocked or 0
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

-- Nothing where the capacity became smaller than what was taken.
function bucket.remaining(cell, extra, most)
  return math.max(0, math.floor((most * cell.b - cell.level - extra * cell.b) / cell.b))
end

function bucket.resetAt(cell, extra) return now + math.ceil((cell.level + extra * cell.b) / cell.a) end

function bucket.save(cell)
  refill(cell, now)
  local ttl = math.max(1, math.ceil(cell.level / cell.a) + cell.at - now, cell.blocked - now)
  local value = cell.blocked > now and cmsgpack.pack(cell.level, cell.at, cell.blocked)
    or cmsgpack.pack(cell.level, cell.at)
  redis.call('SET', cell.key, value, 'PX', ttl)
end
