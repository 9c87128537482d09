-- The server's clock, so that instances whose clocks differ agree.
-- Milliseconds and microseconds since 1970, whole numbers.
local function micros()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function now()
  return math.floor(micros() / 1000)
end
