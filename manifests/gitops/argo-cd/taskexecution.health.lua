-- Healthy once it has succeeded; a stopped one is as good as a failed one to what waits for it.
local function judged()
  local status = obj.status or {}
  if status.phase == "Succeeded" then
    return "Healthy", "succeeded"
  end
  if status.phase == "Failed" or status.phase == "Stopped" then
    return "Degraded", status.failureMessage or status.reason or status.phase
  end
  return "Progressing", status.message or "taskmill has not looked at it yet"
end

local status, message = judged()
return {status = status, message = message}
