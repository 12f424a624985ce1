"""Profiles of the property tests: in `make test` a few examples, in `make test-fast` fewer, the same each time; in
`make fuzz` many new ones.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "test",
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("fast", settings.get_profile("test"), max_examples=8)
settings.register_profile("fuzz", settings.get_profile("test"), max_examples=500, derandomize=False)
settings.load_profile("test")
