-- Takes tokens from token buckets, for many requests at once; each request takes one from each of its buckets, or none.
--
-- KEYS: the buckets of all requests, one request after the other.
-- ARGV: for each request the number of its buckets, then for each bucket its size and its window in microseconds.
-- Answers five numbers for each request: allowed (1 or 0), size, remaining, microseconds until full, microseconds until
-- a token is there (0 if allowed). They tell of the bucket that refused, else of the one with the least left.
--
-- A bucket is kept as the one moment at which it will be full (the "theoretical arrival time" of GCRA): a bucket of N
-- tokens that refills in W is a debt that shrinks with time, to which each token adds W/N.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_at = {}
local answers = {}
local key, arg = 0, 0

local function debt(name)
  if full_at[name] == nil then
    full_at[name] = tonumber(redis.call('GET', name) or 0) or 0
  end
  return math.max(full_at[name] - now, 0)
end

while arg < #ARGV do
  local buckets = tonumber(ARGV[arg + 1])
  local allowed, size, remaining, reset, retry = 1, 0, -1, 0, 0
  for i = 1, buckets do
    local owed = debt(KEYS[key + i])
    local of = tonumber(ARGV[arg + 2 * i])
    -- Rounded down: N tokens must never owe more than the bucket holds.
    local token = math.floor(tonumber(ARGV[arg + 2 * i + 1]) / of)
    local room = of * token - owed
    if room < token then
      if allowed == 1 or token - room > retry then
        size, remaining, reset, retry = of, 0, owed, token - room
      end
      allowed = 0
    elseif allowed == 1 then
      local left = math.floor(room / token) - 1
      if remaining < 0 or left < remaining then
        size, remaining, reset = of, left, owed + token
      end
    end
  end
  if allowed == 1 then
    for i = 1, buckets do
      local name = KEYS[key + i]
      local token = math.floor(tonumber(ARGV[arg + 2 * i + 1]) / tonumber(ARGV[arg + 2 * i]))
      full_at[name] = now + debt(name) + token
    end
  end
  for _, number in ipairs({allowed, size, remaining, reset, retry}) do
    answers[#answers + 1] = number
  end
  key = key + buckets
  arg = arg + 1 + 2 * buckets
end

for name, moment in pairs(full_at) do
  if moment > now then
    redis.call('SET', name, string.format('%.0f', moment), 'PX', math.ceil((moment - now) / 1000))
  end
end
return answers
