-- append, renew, release: what the owner of a request may do, as long as it is the owner.

-- '' when `generation` may write, else why not. An ended log is said first: it is the better news.
local function refused(request, generation, ended)
    if ended then return 'ENDED' end
    if request.generation ~= generation or request.state ~= 'running' then return 'FENCED' end
    return ''
end

local function renew_soon(leases, model, lease_end, id)
    local its = leases[model]
    if not its then
        its = {}
        leases[model] = its
    end
    its[#its + 1] = lease_end
    its[#its + 1] = id
end

local function renew_all(p, leases)
    for model, its in pairs(leases) do redis.call('ZADD', leases_key(p, model), unpack(its)) end
end

-- What the owner of a running request has to know of it. Nine of ten appends need no more.
local function read_running(p, id)
    local found = redis.call('HMGET', request_key(p, id), 'state', 'generation', 'model', 'followers', 'cancel')
    return {
        state = found[1], generation = found[2], model = found[3], followers = found[4] or nil,
        cancel = found[5] ~= '' and found[5] or nil,
    }
end

-- One request's part of an append. `at` points behind its header in args; answers status, tail, cancel flag. What it
-- leaves to be done once for all: leases to renew, a list of score, id by model, and news (see note).
local function append_one(p, args, at, header, lease_end, leases, news)
    local id, generation, first, count, ends = unpack(header)
    local request = ends and read_request(p, id) or read_running(p, id)
    local seq, ended = tail_of(p, id)
    local why = refused(request, generation, ended)
    if why ~= '' then return { why, seq, '' } end
    if first > seq + 1 then return { 'GAP', seq, '' } end

    for i = math.max(0, seq + 1 - first), count - 1 do
        log_reply(p, id, request, first + i, generation, args[at + 2 * i], args[at + 2 * i + 1], news)
        seq = first + i
    end
    if ends then
        local state, usage, text = unpack(args, at + 2 * count, at + 2 * count + 2)
        settle_end(p, id, request, state, usage, text)
    else
        renew_soon(leases, request.model, lease_end, id)
    end
    return { 'OK', seq, request.cancel or '' }
end

-- KEYS: prefix. ARGV: lease in ms; then for each request: id, generation, number of its first reply, count, '1' if the
-- last of them is the end else '0', count × (letter, payload), and for an end its state, usage, text of the answer.
-- Numbers that are in the log already are skipped, so a repeat is harmless; a hole is refused, so nothing is lost.
local function append(keys, args)
    local p, lease_end = keys[1], now_ms() + tonumber(args[1])
    local answers, at, leases, news = {}, 2, {}, {}
    while at <= #args do
        local count, ends = tonumber(args[at + 3]), args[at + 4] == '1'
        local header = { args[at], args[at + 1], tonumber(args[at + 2]), count, ends }
        answers[#answers + 1] = append_one(p, args, at + 5, header, lease_end, leases, news)
        at = at + 5 + 2 * count + (ends and 3 or 0)
    end
    renew_all(p, leases)
    post(p, news)
    return answers
end

-- KEYS: prefix. ARGV: lease in ms; then id, generation of each. Answers as append.
local function renew(keys, args)
    local p, lease_end = keys[1], now_ms() + tonumber(args[1])
    local answers, leases = {}, {}
    for at = 2, #args, 2 do
        local id, generation = args[at], args[at + 1]
        local request = read_running(p, id)
        local seq, ended = tail_of(p, id)
        local why = refused(request, generation, ended)
        if why == '' then renew_soon(leases, request.model, lease_end, id) end
        answers[#answers + 1] = { why == '' and 'OK' or why, seq, request.cancel or '' }
    end
    renew_all(p, leases)
    return answers
end

-- KEYS: prefix. ARGV: why the engine died ('' = it did not: the owner leaves), then id, generation of each. The owner
-- lets go: it is fenced at once, and the next take finds the lease expired. A dead engine is a death counted for each
-- (see take); leaving is none. Answers how many were let go.
local function release(keys, args)
    local p, died, released = keys[1], args[1], 0
    for at = 2, #args, 2 do
        local id, generation = args[at], args[at + 1]
        local request = read_request(p, id)
        if request.generation == generation and request.state == 'running' then
            if died ~= '' then
                count_loss(p, id, request, true)
                redis.call('HSET', request_key(p, id), 'error', died)
            end
            disown(p, id, request)
            released = released + 1
        end
    end
    return released
end
