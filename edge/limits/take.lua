-- All limits of many requests at once: what requests that have ended give back, then what new ones take. Each new one
-- takes from all of its limits, or from none.
--
-- KEYS: one name for each change, then the limits of all requests, one request after the other.
-- ARGV: for how long slots last that nobody renews, in microseconds; the number of changes; for each change its kind and
-- two values; for each request its member, the number of its limits and, for each of them, two numbers.
--
-- Changes: "give" (microseconds, what an empty bucket owes) lowers a bucket's debt, or raises it where negative;
-- "free" (member, 0) ends the hold on a slot; "renew" (member, 0) prolongs one that is there; "enter" (member, 0) makes one.
-- A bucket's numbers: what it owes when it is empty, and what the request adds to that, both in microseconds.
-- The numbers of slots: how many there are, and -1. The member is what holds one.
--
-- Answers, for each request, 1 or 0 for allowed, and the level of each of its limits: microseconds owed, or slots taken.
--
-- A bucket is kept as the one moment at which it will be full. Slots are kept as a sorted set of members by the moment at
-- which they are given up for lost: an edge that dies renews nothing.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lasts = tonumber(ARGV[1])
local full_at, members, changed = {}, {}, {}
local answers = {}

local function owed(name)
  if full_at[name] == nil then
    full_at[name] = tonumber(redis.call('GET', name) or 0) or 0
  end
  return math.max(full_at[name] - now, 0)
end

local function owe(name, debt)
  full_at[name] = now + debt
  changed[name] = true
end

local function taken(name)
  if members[name] == nil then
    redis.call('ZREMRANGEBYSCORE', name, '-inf', string.format('%.0f', now))
    members[name] = redis.call('ZCARD', name)
  end
  return members[name]
end

local lost_at = string.format('%.0f', now + lasts)

local function hold(name, member)
  redis.call('ZADD', name, lost_at, member)
  redis.call('PEXPIRE', name, math.ceil(lasts / 1000))
end

local changes = tonumber(ARGV[2])
local arg = 2
for i = 1, changes do
  local name, kind, value = KEYS[i], ARGV[arg + 1], ARGV[arg + 2]
  if kind == 'give' then
    owe(name, math.min(math.max(owed(name) - tonumber(value), 0), tonumber(ARGV[arg + 3])))
  elseif kind == 'free' then
    redis.call('ZREM', name, value)
  elseif kind == 'enter' or redis.call('ZSCORE', name, value) then
    hold(name, value)
  end
  arg = arg + 3
end

local key = changes
while arg < #ARGV do
  local member, limits = ARGV[arg + 1], tonumber(ARGV[arg + 2])
  arg = arg + 2
  local allowed = 1
  local levels = {}
  for i = 1, limits do
    local name, size, adds = KEYS[key + i], tonumber(ARGV[arg + 2 * i - 1]), tonumber(ARGV[arg + 2 * i])
    if adds < 0 then
      levels[i] = taken(name)
      if levels[i] >= size then allowed = 0 end
    else
      levels[i] = owed(name)
      if size - levels[i] < adds then allowed = 0 end
    end
  end
  answers[#answers + 1] = allowed
  for i = 1, limits do
    local name, adds = KEYS[key + i], tonumber(ARGV[arg + 2 * i])
    if allowed == 1 and adds < 0 then
      levels[i] = levels[i] + 1
      members[name] = levels[i]
      hold(name, member)
    elseif allowed == 1 then
      levels[i] = levels[i] + adds
      owe(name, levels[i])
    end
    answers[#answers + 1] = levels[i]
  end
  key = key + limits
  arg = arg + 2 * limits
end

for name in pairs(changed) do
  local moment = full_at[name]
  if moment > now then
    redis.call('SET', name, string.format('%.0f', moment), 'PX', math.ceil((moment - now) / 1000))
  else
    redis.call('DEL', name)
  end
end
return answers
