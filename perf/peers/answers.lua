-- wrk's script: every answer is compared in full with what the backend gives.
local expected = "@BODY@"
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init() answers, wrong = 0, 0 end

function response(status, headers, body)
  answers = answers + 1
  if status ~= 200 or body ~= expected then wrong = wrong + 1 end
end

function done(summary)
  local sum, bad = 0, 0
  for _, thread in ipairs(threads) do
    sum = sum + thread:get("answers")
    bad = bad + thread:get("wrong")
  end
  local e = summary.errors
  print(string.format("answers %d wrong %d unconnected %d unread %d unwritten %d refused %d late %d", sum, bad,
                      e.connect, e.read, e.write, e.status, e.timeout))
end
