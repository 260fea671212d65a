-- switch_learning, learn, forget_learned, advance_learning: facts that a user's conversations have told. A user's hash is in no
-- shard, so the first three are given its key and touch nothing else.
--
-- A user's hash holds them by name, and under SINCE the time from which turns may teach; without it nothing is learned.
-- To forget moves that time to now, so what was said before teaches nothing again: not by a request that runs already,
-- nor by one that another access process makes of the same turns.

local SINCE = ':since'

-- KEYS: the user's hash. ARGV: '1' or '0'. On: from now on, unless it is on. Off: nothing is left.
local function switch_learning(keys, args)
    if args[1] == '1' then
        redis.call('HSETNX', keys[1], SINCE, now_ms())
    else
        redis.call('DEL', keys[1])
    end
end

-- KEYS: the user's hash. ARGV: when the first turn began that taught this, in ms; then name, fact as JSON with the time
-- of the last such turn in `at`. A later fact takes an earlier one's place. Answers OK | UNWANTED.
local function learn(keys, args)
    local since = redis.call('HGET', keys[1], SINCE)
    if not since or tonumber(args[1]) <= tonumber(since) then return { 'UNWANTED' } end
    for at = 2, #args, 2 do
        local name, fact = args[at], args[at + 1]
        local known = redis.call('HGET', keys[1], name)
        if not known or cjson.decode(known).at <= cjson.decode(fact).at then redis.call('HSET', keys[1], name, fact) end
    end
    return { 'OK' }
end

-- KEYS: the user's hash. ARGV: a name, or none for all.
local function forget_learned(keys, args)
    if redis.call('HEXISTS', keys[1], SINCE) == 0 then return end
    redis.call('HSET', keys[1], SINCE, now_ms())
    for _, name in ipairs(redis.call('HKEYS', keys[1])) do
        if name ~= SINCE and name == (args[1] or name) then redis.call('HDEL', keys[1], name) end
    end
end

-- KEYS: prefix. ARGV: session, tenant, turn. It and those before it were learned from, if there was anything to learn.
local function advance_learning(keys, args)
    local session = session_key(keys[1], args[1])
    local found = read(session, 'tenant', 'learned_until')
    if found.tenant ~= args[2] then return end
    if found.learned_until and not behind(args[3], found.learned_until) then return end
    redis.call('HSET', session, 'learned_until', args[3])
end
