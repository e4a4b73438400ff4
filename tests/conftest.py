"""What all tests share."""

# Twisted 26.10 warns where Buildbot 4.3.0 imports all of twisted.internet.ssl; buildbot.test, which some tests use,
# makes every later warning an error.
import buildbot.util.ssl  # noqa: F401 for the import alone
from hypothesis import HealthCheck, settings

# How long it takes to make an example says how busy the machine is, and nothing about the code.
settings.register_profile("kmodci", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kmodci")
