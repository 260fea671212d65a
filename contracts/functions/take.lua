-- take: a worker makes requests its own. Whatever it does not find is not there: no other worker can have it too.
--
-- Who is to blame when a worker is lost over its requests:
--
--   loss     counted against each of them. Leaving (SIGTERM) is none.
--   death    a loss with a reason: the worker outlived its engine and says so (release), or the request's log did not
--            advance since its take. A worker killed in the middle of good answers says nothing against them.
--   suspect  a request with two deaths. It runs alone: only an idle worker gets it, and takes nothing else meanwhile.
--   given up a request with three deaths, or ten losses. It fails, and leaves a dead letter.
--
-- So one bad request that kills the engine under a batch of 32 kills it three times: under the batch, under the batch
-- again, and alone. Its mates are blamed twice, run alone once, and end well; for them the third death would have to
-- come while nothing else runs. A worker that is never idle would starve the suspects: one busy worker at a time
-- takes nothing until it is (`emptying`), and suspects come before all else to whoever is idle, since they are the
-- oldest.

-- How many entries one take looks at: a queue full of cancelled requests is cleared in many takes, not in a long one.
local LOOKS = 256
local SUSPECT_LOOKS = 16

-- What a worker needs to begin or to go on: id, generation, body, tail of the log, ms left, deaths.
local function grant_of(p, id, generation, seq, now)
    local found = read(request_key(p, id), 'body', 'deadline', 'deaths')
    return { id, generation, found.body, seq, math.max(0, found.deadline - now), tonumber(found.deaths) }
end

local function own(p, id, request, worker, generation, seq, lease_end)
    redis.call('HSET', request_key(p, id), 'state', 'running', 'generation', generation, 'owner', worker, 'taken', seq,
        'released', '')
    redis.call('ZADD', leases_key(p, request.model), lease_end, id)
    if tonumber(request.deaths or 0) > 0 then redis.call('ZREM', suspects_key(p, request.model), id) end
end

-- A repeated call id: the same grants again, those that are still ours.
local function repeated(p, worker, call_id, now)
    local last = read(grants_key(p, worker), 'call', 'grants')
    if last.call ~= call_id then return nil end
    local grants = {}
    for id, generation in string.gmatch(last.grants, '(%S+)=(%S+)') do
        local owned = read(request_key(p, id), 'state', 'generation')
        if owned.state == 'running' and owned.generation == generation then
            grants[#grants + 1] = grant_of(p, id, generation, (tail_of(p, id)), now)
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

-- Sort what has lost its worker: what is over is ended, who died too often is given up, suspects are set apart. Answers
-- the others, up to `count`; each is marked, so that no loss counts twice.
local function orphans(p, model, count, now, limits, ends)
    local leases, found = leases_key(p, model), {}
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, count)) do
        local request = read_request(p, id)
        if over(p, id, request, now, ends) then
            redis.call('ZREM', leases, id)
        else
            if not request.released then
                count_loss(p, id, request, (tail_of(p, id)) == tonumber(request.taken or 0))
                disown(p, id, request)
            end
            local deaths = tonumber(request.deaths or 0)
            if deaths >= limits.deaths or tonumber(request.losses or 0) >= limits.losses then
                give_up(p, id, request, now, ends.dead)
            elseif deaths >= limits.suspect then
                redis.call('ZADD', suspects_key(p, model), now, id)
                redis.call('ZREM', leases, id)
            else
                found[#found + 1] = { id, request }
            end
        end
    end
    return found
end

-- The oldest suspect that needs a worker.
local function next_suspect(p, model, now, ends)
    local suspects = suspects_key(p, model)
    for _, id in ipairs(redis.call('ZRANGE', suspects, 0, SUSPECT_LOOKS - 1)) do
        local request = read_request(p, id)
        if not request.generation and not over(p, id, request, now, ends) then return id, request end
        redis.call('ZREM', suspects, id)
    end
end

-- Whether this busy worker is the one that becomes idle for a suspect.
local function empties(p, model, worker, lease)
    local chosen = redis.call('GET', emptying_key(p, model))
    if chosen and chosen ~= worker then return false end
    redis.call('SET', emptying_key(p, model), worker, 'PX', lease)
    return true
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

-- Hand out what is queued, by class, to whoever `grant`s; `free` says for how many more there is room.
local function hand_out(p, model, classes, now, ends, free, grant)
    local looks = 0
    for class in string.gmatch(classes, '%S+') do
        while free() > 0 and looks < LOOKS do
            local wanted = math.min(free(), LOOKS - looks)
            local entries = next_entries(p, model, class, wanted)
            looks = looks + #entries
            for _, entry in ipairs(entries) do
                local id = entry[2][2]
                local request = read_request(p, id)
                local mine = request.entry == entry[1]
                if request.state == 'running' then
                    -- Met again after its group was lost. It is its worker's to end, and its end removes its entry.
                    if not mine then leave_queue(p, { model = model, class = class, entry = entry[1] }) end
                elseif over(p, id, request, now, ends) then
                    leave_queue(p, { model = model, class = class, entry = entry[1] })
                elseif request.state == 'queued' then
                    -- Another entry than it knows of: a submit or a sweep was torn. The other is met in its turn.
                    if not mine then redis.call('HSET', request_key(p, id), 'entry', entry[1]) end
                    grant(id, request)
                elseif not mine then
                    leave_queue(p, { model = model, class = class, entry = entry[1] })
                end
            end
            if #entries < wanted then break end
        end
    end
    if looks >= LOOKS then ring(p, model) end
    return looks
end

-- KEYS: prefix. ARGV: model, worker, call id, lease in ms, how many the worker runs, the deaths that make a suspect, the
-- deaths and losses that are one too many, classes in order ("interactive standard batch"), payloads of the ends
-- cancelled, expired, dead; then the beginning of a fresh generation per free slot. Answers '1' if the worker shall become idle for a
-- suspect, else '0'; and the grants. Expired leases come first: their callers have waited longest.
local function take(keys, args)
    local p, model, worker, call_id, lease, running = keys[1], args[1], args[2], args[3], tonumber(args[4]), tonumber(args[5])
    local limits = { suspect = tonumber(args[6]), deaths = tonumber(args[7]), losses = tonumber(args[8]) }
    local ends = { cancelled = args[10], expired = args[11], dead = args[12] }
    local now = now_ms()
    local again = repeated(p, worker, call_id, now)
    if again then return { '0', again } end

    local grants, slots = {}, #args - 12
    local function free() return slots - #grants end
    local function grant(id, request)
        -- Not the caller's words alone: a copy of this call that arrives late, when its grants are no longer remembered,
        -- must not bring back a generation that was fenced since.
        local generation = args[12 + #grants + 1] .. string.format('%x', now)
        local seq = tail_of(p, id)
        own(p, id, request, worker, generation, seq, now + lease)
        grants[#grants + 1] = grant_of(p, id, generation, seq, now)
    end

    local orphaned = orphans(p, model, slots, now, limits, ends)
    local suspect, request = next_suspect(p, model, now, ends)
    if suspect and running == 0 then
        grant(suspect, request)
    elseif suspect and empties(p, model, worker, lease) then
        return { '1', {} }
    else
        for _, orphan in ipairs(orphaned) do grant(unpack(orphan)) end
        if hand_out(p, model, args[9], now, ends, free, grant) == 0 and #grants == 0 then
            redis.call('DEL', bell_key(p, model))
        end
    end
    if #grants > 0 then remember_grants(p, worker, call_id, grants) end
    return { '0', grants }
end
