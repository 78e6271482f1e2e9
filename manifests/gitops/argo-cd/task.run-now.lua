-- A run of the Task as it is now. Asked twice in a second, it is one run.
local execution = {
  apiVersion = "taskmill.dev/v1alpha1",
  kind = "TaskExecution",
  metadata = {
    name = obj.metadata.name .. "-" .. tostring(os.time()),
    namespace = obj.metadata.namespace,
  },
  spec = {
    taskRef = {name = obj.metadata.name},
    startedBy = "Argo CD",
  },
}
-- A name has 63 characters at most, and there is no library to cut one.
if #execution.metadata.name > 63 then
  execution.metadata.name = "run-" .. tostring(os.time())
end
return {{operation = "create", resource = execution}}
