"""Fixtures for all tests: the cluster they share."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["cluster.fixtures", "image.fixtures"]

# A busy machine is no finding.
settings.register_profile("taskmill", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("taskmill")
