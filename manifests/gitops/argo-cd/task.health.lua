-- Healthy once the run of this very state has succeeded, or none is needed.
local function judged()
  local status = obj.status or {}
  if obj.metadata.deletionTimestamp ~= nil then
    return "Progressing", "is being deleted"
  end
  if status.observedGeneration ~= obj.metadata.generation then
    return "Progressing", "taskmill has not looked at it yet"
  end
  local told = {}
  for _, condition in ipairs(status.conditions or {}) do
    if condition.status == "True" then
      told[condition.type] = condition
    end
  end
  if told.Stalled ~= nil then
    return "Degraded", told.Stalled.message
  end
  if told.Reconciling ~= nil then
    return "Progressing", told.Reconciling.message
  end
  if told.Ready ~= nil then
    return "Healthy", told.Ready.message
  end
  return "Progressing", "taskmill has not looked at it yet"
end

local status, message = judged()
return {status = status, message = message}
