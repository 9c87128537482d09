-- The server's clock, so that instances whose clocks differ agree; or the time that a test gives.
-- Whole microseconds and milliseconds since 1970. `given` is in the same unit; '' or nil means the server's clock.
local function micros(given)
  local known = tonumber(given)
  if known then return known end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function now(given)
  return tonumber(given) or math.floor(micros() / 1000)
end
