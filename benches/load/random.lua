-- Objects at random: `wrk -s random.lua URL -- COUNT QUERY` asks for /bench/0?QUERY to /bench/COUNT-1?QUERY.
-- The requests are made beforehand: making one for each would cost the load generator more than sending it.
local requests, count = {}, 0

function init(args)
    count = tonumber(args[1])
    for object = 0, count - 1 do
        requests[object] = wrk.format("GET", "/bench/" .. object .. "?" .. args[2])
    end
    math.randomseed(os.time())
end

function request()
    return requests[math.random(0, count - 1)]
end
