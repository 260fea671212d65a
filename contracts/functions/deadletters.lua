-- Dead letters: requests that were given up. The letter says why; the request's own hash keeps its body as long.

local LETTER_SECONDS = 30 * 86400

-- End `request` for good, and leave a letter about it. The letter is written once: it comes first and is noted at once.
local function give_up(p, id, request, now, payload)
    if not request.letter then
        local why = request.error and 'engines died while running it' or 'workers died while running it'
        local letter = redis.call('XADD', deadletters_key(p), 'MINID', now - LETTER_SECONDS * 1000, '*',
            'id', id, 'tenant', request.tenant, 'model', request.model, 'why', why, 'deaths', request.deaths,
            'losses', request.losses or 0, 'error', request.error or '', 'worker', request.owner or '')
        redis.call('HSET', request_key(p, id), 'letter', letter)
    end
    end_idle(p, id, request, 'failed', 'x', payload)
    keep_for(p, id, request, LETTER_SECONDS)
end

-- KEYS: prefix. ARGV: id. Forget the letter about a request; answers whether there was one.
local function drop(keys, args)
    local p, id = keys[1], args[1]
    local request = read(request_key(p, id), 'letter', 'retain', 'index')
    if not request.letter then return 0 end
    redis.call('XDEL', deadletters_key(p), request.letter)
    keep_for(p, id, request, 2 * request.retain)
    redis.call('HDEL', request_key(p, id), 'letter')
    return 1
end
