-- Records an audit of the present epoch, once, and returns the state after it.
--
-- KEYS  1 hash of the class  2 hash of the epoch's audits, id -> line
-- ARGV  1 id  2 epoch  3 line, empty for an audit that only watches for drift  4 step of the drift or ''  5 its limit
--       6 maximum of audits  7 ttl in ms
-- Without ARGV it only reads the state.
-- Reply {epoch, policy, audits that count, 1 if drifted}
local state = redis.call('HMGET', KEYS[1], 'epoch', 'policy', 'counted', 'wealth', 'drifted')
local epoch, counted = tonumber(state[1] or 1), tonumber(state[3] or 0)
local drifted = tonumber(state[5] or 0)

if ARGV[1] and tonumber(ARGV[2]) == epoch and redis.call('HLEN', KEYS[2]) < tonumber(ARGV[6])
  and redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[3]) == 1 then
  redis.call('HSET', KEYS[1], 'epoch', epoch)
  if ARGV[3] ~= '' then counted = redis.call('HINCRBY', KEYS[1], 'counted', 1) end
  if ARGV[4] ~= '' then
    local wealth = math.max(0, tonumber(state[4] or 0)) + tonumber(ARGV[4])
    -- As many digits as a double needs, so that the sum is the same as in the memory store.
    redis.call('HSET', KEYS[1], 'wealth', string.format('%.17g', wealth))
    if wealth >= tonumber(ARGV[5]) then
      drifted = 1
      redis.call('HSET', KEYS[1], 'drifted', 1)
    end
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
end
return { epoch, state[2] or '', counted, drifted }
