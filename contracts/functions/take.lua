-- take: a worker makes requests its own. Whatever it does not find is not there: no other worker can have it too.

-- What a worker needs to begin or to go on: id, generation, body, tail of the log, ms left, deaths, class.
local function grant_of(p, id, generation, now)
    local found = read(request_key(p, id), 'body', 'deadline', 'deaths', 'class')
    local seq = tail_of(p, id)
    return { id, generation, found.body, seq, math.max(0, found.deadline - now), tonumber(found.deaths), found.class }
end

local function own(p, id, request, worker, generation, lease_end)
    redis.call('HSET', request_key(p, id), 'state', 'running', 'generation', generation, 'owner', worker,
        'taken', (tail_of(p, id)))
    redis.call('HDEL', request_key(p, id), 'released')
    redis.call('ZADD', leases_key(p, request.model), lease_end, id)
end

-- A repeated call id: the same grants again, those that are still ours.
local function repeated(p, worker, call_id, now)
    local last = read(grants_key(p, worker), 'call', 'grants')
    if last.call ~= call_id then return nil end
    local grants = {}
    for id, generation in string.gmatch(last.grants, '(%S+)=(%S+)') do
        if redis.call('HGET', request_key(p, id), 'generation') == generation then
            grants[#grants + 1] = grant_of(p, id, generation, now)
        end
    end
    return grants
end

local function remember_grants(p, worker, call_id, grants)
    local pairs_text = {}
    for i, grant in ipairs(grants) do pairs_text[i] = grant[1] .. '=' .. grant[2] end
    local key = grants_key(p, worker)
    redis.call('HSET', key, 'call', call_id, 'grants', table.concat(pairs_text, ' '))
    redis.call('EXPIRE', key, 60)
end

-- A death counts against a request only if its log did not advance since the take: a worker that died in the middle of
-- a hundred good answers says nothing against any of them. Returns true when the request has been given up.
local function count_death(p, id, request, limits, ends)
    if request.released then return false end
    local lost = redis.call('HINCRBY', request_key(p, id), 'lost', 1)
    local deaths = tonumber(request.deaths)
    if tail_of(p, id) == tonumber(request.taken or '0') then
        deaths = redis.call('HINCRBY', request_key(p, id), 'deaths', 1)
    end
    if deaths < limits.deaths and lost < limits.lost then return false end
    redis.call('XADD', deadletters_key(p), '*', 'id', id, 'why', 'workers died while running it', 'deaths', deaths)
    end_idle(p, id, request, 'failed', 'x', ends.dead)
    return true
end

-- True when the request needs no worker any more; it has then been ended, or its leftovers removed.
local function over(p, id, request, now, ends)
    if not request.state or ENDED[request.state] then return true end
    local _, ended = tail_of(p, id)
    if ended then
        -- A torn end: the log has it, the rest does not.
        settle_end(p, id, request, ended, '', '')
    elseif request.cancel == 'cancel' then
        end_idle(p, id, request, 'cancelled', 'c', ends.cancelled)
    elseif now > tonumber(request.deadline) then
        end_idle(p, id, request, 'expired', 'f', ends.expired)
    else
        return false
    end
    return true
end

local function expired_leases(p, model, count, now)
    return redis.call('ZRANGEBYSCORE', leases_key(p, model), '-inf', now, 'LIMIT', 0, count)
end

-- The next entries of one class. A group lost with a flush or a failover is made again, from the stream's start.
local function next_entries(p, model, class, count)
    local queue = requests_key(p, model, class)
    local function pull()
        return redis.pcall('XREADGROUP', 'GROUP', GROUP, 'any', 'COUNT', count, 'STREAMS', queue, '>')
    end
    local answer = pull()
    if type(answer) == 'table' and answer.err then
        if not string.find(answer.err, 'NOGROUP') then error(answer) end
        redis.call('XGROUP', 'CREATE', queue, GROUP, '0', 'MKSTREAM')
        answer = pull()
    end
    if not answer or not answer[1] then return {} end
    return answer[1][2]
end

-- KEYS: prefix. ARGV: model, worker, call id, lease in ms, deaths allowed, losses allowed, classes in order
-- ("interactive standard batch"), payloads of the ends cancelled, expired, dead; then one fresh generation per free
-- slot. Answers the grants. Expired leases come first: their callers have waited longest.
local function take(keys, args)
    local p, model, worker, call_id, lease = keys[1], args[1], args[2], args[3], tonumber(args[4])
    local limits = { deaths = tonumber(args[5]), lost = tonumber(args[6]) }
    local ends = { cancelled = args[8], expired = args[9], dead = args[10] }
    local now = now_ms()
    local again = repeated(p, worker, call_id, now)
    if again then return again end

    local grants, slots = {}, #args - 10
    local function grant(id, request)
        local generation = args[10 + #grants + 1]
        own(p, id, request, worker, generation, now + lease)
        grants[#grants + 1] = grant_of(p, id, generation, now)
    end

    for _, id in ipairs(expired_leases(p, model, slots, now)) do
        local request = read_request(p, id)
        if over(p, id, request, now, ends) then
            redis.call('ZREM', leases_key(p, model), id)
        elseif not count_death(p, id, request, limits, ends) then
            grant(id, request)
        end
    end

    for class in string.gmatch(args[7], '%S+') do
        local missing = slots - #grants
        while missing > 0 do
            local entries = next_entries(p, model, class, missing)
            for _, entry in ipairs(entries) do
                local id = entry[2][2]
                local request = read_request(p, id)
                if over(p, id, request, now, ends) then
                    leave_queue(p, { model = model, class = class, entry = entry[1] })
                elseif request.state == 'queued' then
                    grant(id, request)
                end
            end
            if #entries < missing then break end
            missing = slots - #grants
        end
    end

    if #grants == 0 then redis.call('DEL', bell_key(p, model)) end
    remember_grants(p, worker, call_id, grants)
    return grants
end
