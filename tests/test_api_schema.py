"""The OpenAPI document is true to the server: schemathesis asks what it allows, and what it does not."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kmodci.openapi import OPERATIONS
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from support.apisite import Site, api_site, with_token

_EXAMPLES = 20
NONE: Mapping[str, str] = MappingProxyType({})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with api_site(tmp_path_factory.mktemp("api"), queue=100_000) as made:
        yield made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "operation" in metafunc.fixturenames:
        metafunc.parametrize("operation", [each.name for each in OPERATIONS])


@pytest.fixture(scope="module")
def schema(site: Site) -> schemathesis.BaseSchema:
    config = SchemathesisConfig.from_dict({"generation": {"deterministic": True}})
    _, described = site.told("openapi.json")
    return schemathesis.openapi.from_dict(described, config=config)


def test_the_server_does_what_its_document_says(site: Site, schema: schemathesis.BaseSchema, operation: str) -> None:
    check(site, schema, operation)
    assert site.scheduler.asked == [], "who has no token has nothing built"


def test_also_to_who_may_build(site: Site, schema: schemathesis.BaseSchema) -> None:
    check(site, schema, "ask", {"Authorization": f"Bearer {with_token(site)}"})


def test_a_document_that_is_wrong_is_found_out(site: Site) -> None:
    _, described = site.told("openapi.json")
    del described["paths"]["/runs/{id}"]["get"]["responses"]["404"]
    with pytest.raises(FailureGroup, match="Undocumented status code"):
        check(site, schemathesis.openapi.from_dict(described), "run")


def check(site: Site, schema: schemathesis.BaseSchema, operation: str, headers: Mapping[str, str] = NONE) -> None:
    """What it allows, and what it does not, some times."""
    described = schema.find_operation_by_id(operation)

    @settings(max_examples=_EXAMPLES, derandomize=True, suppress_health_check=[*HealthCheck], phases=[Phase.generate])
    @given(case=st.one_of(*(described.as_strategy(generation_mode=mode) for mode in GenerationMode)))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=f"{site.url}/api/kmodci/v1", headers=dict(headers))

    site.scheduler.asked.clear()
    ask()
