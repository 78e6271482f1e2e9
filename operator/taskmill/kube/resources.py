"""Where the kinds we touch live in the API."""

from dataclasses import dataclass

from taskmill.api.group import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API server addresses it; the core group is the empty string."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        """As `apiVersion` spells it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """The URL path: of the whole kind, of one namespace's, or of one object."""
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part is not None]
        return "/".join(parts)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


TASKS = Resource(GROUP, VERSION, "tasks")
EXECUTIONS = Resource(GROUP, VERSION, "taskexecutions")
JOBS = Resource("batch", "v1", "jobs")
PODS = Resource("", "v1", "pods")
EVENTS = Resource("", "v1", "events")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
