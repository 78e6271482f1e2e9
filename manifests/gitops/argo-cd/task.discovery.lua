-- What Argo CD offers to do with a Task.
return {["run-now"] = {displayName = "Run now", iconClass = "fa fa-fw fa-play"}}
