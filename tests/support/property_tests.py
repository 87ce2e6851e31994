"""Settings of hypothesis."""

from hypothesis import HealthCheck, settings

# A loaded machine must not fail a test.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
