-- charge: what a publisher says is counted before it is said, once by its id.
--
-- A bucket is kept as what is missing in it: a push takes out as many grains as its period has milliseconds, and each
-- millisecond puts back as many as it holds pushes. Whole numbers: nothing is rounded, and those who race for the last
-- pushes get exactly what is there.

local MINUTE_MS = 60000
local HOUR_MS = 3600000

-- The grains that are missing in a bucket of `size` pushes. A clock that went back puts nothing back.
local function missing_in(bucket, size, now)
    local known = read(bucket, 'missing', 'at')
    if not known.at then return 0 end
    return math.max(0, known.missing - math.max(0, now - known.at) * size)
end

-- KEYS: the publisher's bucket, the user's, then a mark of each push. ARGV: pushes a minute that the first one holds,
-- pushes an hour that the second one does, seconds for which a push is known. Those without a mark are counted: all of
-- them, or none. Answers nothing; or PUBLISHER | USER, and the ms until that bucket has room.
local function charge(keys, args)
    local now, new = now_ms(), {}
    for at = 3, #keys do
        if redis.call('EXISTS', keys[at]) == 0 then new[#new + 1] = keys[at] end
    end
    if #new == 0 then return nil end
    local buckets = {
        { key = keys[1], size = tonumber(args[1]), period = MINUTE_MS, whose = 'PUBLISHER' },
        { key = keys[2], size = tonumber(args[2]), period = HOUR_MS, whose = 'USER' },
    }
    for _, bucket in ipairs(buckets) do
        bucket.missing = missing_in(bucket.key, bucket.size, now) + #new * bucket.period
        local over = bucket.missing - bucket.size * bucket.period
        if over > 0 then return { bucket.whose, math.ceil(over / bucket.size) } end
    end
    for _, bucket in ipairs(buckets) do
        redis.call('HSET', bucket.key, 'missing', bucket.missing, 'at', now)
        redis.call('PEXPIRE', bucket.key, math.ceil(bucket.missing / bucket.size))
    end
    for _, mark in ipairs(new) do redis.call('SET', mark, '1', 'EX', args[3]) end
    return nil
end
