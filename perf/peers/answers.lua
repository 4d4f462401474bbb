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
  local errors = summary.errors
  bad = bad + errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format("answers %d wrong %d", sum, bad))
end
