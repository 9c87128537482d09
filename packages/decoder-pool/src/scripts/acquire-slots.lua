-- Records what a coordinator holds now, then takes slots for its requests, in their order.
--
-- KEYS  1 sorted set coordinators  2 hash totals  3 hash of the coordinator   (as in heartbeat.lua)
--       4 sorted set waiting: 'requirement coordinator', since when in ms
--       5 hash offers: node to when it was offered, in ms
-- ARGV  1 'id region'  2 sequence  3 ms for which a slot is kept for a request that waits longer by more than that
--       4 the time in µs for tests, or '' for the server's
--       5 G, then G × node, count that is held;  W, then W × requirement, ms that its oldest waits;
--       then for each request: requirement, ms it waited, C, C × node, capacity
-- Reply {0 if the coordinator is unknown or the sequence old, otherwise 1, {candidate given, from 1, or 0, …},
--        {node, total, …} of the nodes named, 1 if others wait}
--- @include "clock"
--- @include "count"

-- The number of waiting requirements that are examined, the oldest first; and how long an unused pool keeps them.
local maxOldest, keepMs = 64, 86400000

local me, sequence, offerMs = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if not redis.call('ZSCORE', KEYS[1], me) then return { 0, {}, {}, 0 } end
local last, before = string.match(redis.call('HGET', KEYS[3], '') or '', '^(%d+)(.*)$')
if not last or tonumber(last) >= sequence then return { 0, {}, {}, 0 } end
local now = math.floor(micros(ARGV[4]) / 1000)

-- Each node is read once and written once, however many requests of the batch name it.
local totals, owns, changed = {}, {}, {}
local function read(node)
  if not totals[node] then
    totals[node] = countOf(redis.call('HGET', KEYS[2], node) or nil)
    owns[node] = countOf(redis.call('HGET', KEYS[3], node) or nil)
  end
  return totals[node]
end
local function hold(node, count)
  local total = read(node)
  if count == owns[node] then return end
  totals[node] = math.max(0, total + count - owns[node])
  owns[node] = count
  changed[node] = true
end

local at = 6
for _ = 1, tonumber(ARGV[5]) do
  hold(ARGV[at], tonumber(ARGV[at + 1]))
  at = at + 2
end

-- This coordinator's waiting requirements replace those that it reported before.
local suffix = ' ' .. me
local gone, added, names = {}, {}, {}
for requirement in string.gmatch(before, '%S+') do gone[requirement] = true end
for _ = 1, tonumber(ARGV[at]) do
  local requirement = ARGV[at + 1]
  gone[requirement] = nil
  names[#names + 1] = requirement
  added[#added + 1] = now - ARGV[at + 2]
  added[#added + 1] = requirement .. suffix
  at = at + 2
end
at = at + 1
for requirement in pairs(gone) do redis.call('ZREM', KEYS[4], requirement .. suffix) end
if #names > 0 then
  redis.call('ZADD', KEYS[4], unpack(added))
  redis.call('PEXPIRE', KEYS[4], keepMs)
end
local othersWait = redis.call('ZCARD', KEYS[4]) > #names and 1 or 0

-- Since when the oldest request of a requirement waits at another live coordinator. Read only if needed, because it
-- costs more than all the rest.
local oldest
local function waitOf(requirement)
  if not oldest then
    oldest = {}
    local first = othersWait == 1 and redis.call('ZRANGE', KEYS[4], 0, maxOldest - 1, 'WITHSCORES') or {}
    for index = 1, #first, 2 do
      local name, who = string.match(first[index], '^(%S*) (.*)$')
      if name and who ~= me then
        oldest[name] = oldest[name] or {}
        table.insert(oldest[name], { who, tonumber(first[index + 1]) })
      end
    end
  end
  for _, one in ipairs(oldest[requirement] or {}) do
    if tonumber(redis.call('ZSCORE', KEYS[1], one[1]) or 0) > now then return one[2] end
  end
end

-- A slot for which another coordinator's request has waited longer is kept for a moment, until that coordinator hears
-- of it. It must have waited longer by `offerMs`, because a slot is idle while it is handed over.
local function isKept(requirement, since, node)
  local first = waitOf(requirement)
  if not first or first >= since - offerMs then return false end
  local offered = tonumber(redis.call('HGET', KEYS[5], node) or now) or now
  if now - offered > offerMs then return false end
  redis.call('HSETNX', KEYS[5], node, now)
  redis.call('PEXPIRE', KEYS[5], keepMs)
  return true
end

local given, lost = {}, {}
while at <= #ARGV do
  local requirement, since, count = ARGV[at], now - ARGV[at + 1], tonumber(ARGV[at + 2])
  local choice = 0
  -- If one request of a requirement got nothing, no later one may get a slot.
  if not lost[requirement] then
    for candidate = 1, count do
      local node, capacity = ARGV[at + 1 + 2 * candidate], tonumber(ARGV[at + 2 + 2 * candidate])
      if choice == 0 and read(node) < capacity and not isKept(requirement, since, node) then
        hold(node, owns[node] + 1)
        if othersWait == 1 then redis.call('HDEL', KEYS[5], node) end
        choice = candidate
      end
    end
    lost[requirement] = choice == 0
  end
  given[#given + 1] = choice
  at = at + 3 + 2 * count
end

local flat, ownFields, totalFields = {}, { '', table.concat({ sequence, unpack(names) }, ' ') }, {}
local ownGone, totalGone = {}, {}
for node, total in pairs(totals) do
  flat[#flat + 1] = node
  flat[#flat + 1] = total
  if changed[node] then
    local own = owns[node]
    local list, gone = ownFields, ownGone
    if own > 0 then
      list[#list + 1] = node
      list[#list + 1] = own
    else
      gone[#gone + 1] = node
    end
    if total > 0 then
      totalFields[#totalFields + 1] = node
      totalFields[#totalFields + 1] = total
    else
      totalGone[#totalGone + 1] = node
    end
  end
end
redis.call('HSET', KEYS[3], unpack(ownFields))
if #ownGone > 0 then redis.call('HDEL', KEYS[3], unpack(ownGone)) end
if #totalFields > 0 then redis.call('HSET', KEYS[2], unpack(totalFields)) end
if #totalGone > 0 then redis.call('HDEL', KEYS[2], unpack(totalGone)) end
return { 1, given, flat, othersWait }
