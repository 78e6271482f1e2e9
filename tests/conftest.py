"""Fixtures for all tests: the cluster they share."""

pytest_plugins = ["cluster.fixtures"]
