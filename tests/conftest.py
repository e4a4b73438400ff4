"""What all tests share."""

from hypothesis import HealthCheck, settings

# How long it takes to make an example says how busy the machine is, and nothing about the code.
settings.register_profile("kmodci", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kmodci")
