"""What the API's document says of a field is what `release` decides."""

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kmodci.apiasked import BuildAsked, CoverageQuery, mistakes
from kmodci.model import Target, check_module_version
from kmodci.openapi import OPERATIONS, document
from kmodci.osrelease import NAMES
from kmodci.release import BadName, check_name, check_release
from pydantic import BaseModel, ValidationError

GOOD = {"module": "loop", "distro": "debian", "arch": "amd64", "kernel_release": "6.1.0-50-amd64"}


def is_taken(check: Callable[[str], object], text: str) -> bool:
    try:
        check(text)
    except BadName:
        return False
    return True


def part(text: str) -> object:
    return Target(distro=text, series="a", arch="b")


CHECKS: dict[str, Callable[[str], object]] = {
    "module": check_name,
    "version": check_module_version,
    "distro": lambda text: text in NAMES or part(text),
    "series": part,
    "arch": part,
    "kernel_release": check_release,
}


def limits(field: str) -> tuple[str, int]:
    schema = BuildAsked.model_json_schema()["properties"][field]
    found = next((each for each in schema.get("anyOf", ()) if each["type"] == "string"), schema)
    return found["pattern"], found["maxLength"]


@pytest.mark.parametrize("field", CHECKS)
def test_the_pattern_is_the_check(field: str) -> None:
    pattern, longest = limits(field)

    @given(st.from_regex(pattern, fullmatch=True) | st.text("a1A.-_+~:^/ \n", max_size=8) | st.text(max_size=8))
    @example("a..b")
    @example("1..2")
    @example("a.")
    @example("1.")
    @example("1\n")
    @example("a" * 63)
    @example("1" * 64)
    @example("1" * 65)
    @example("1" * 129)
    def same(text: str) -> None:
        # Python's `$` also takes a line's end
        told = re.search(pattern.replace("$", r"\Z"), text) is not None and len(text) <= longest
        assert told == is_taken(CHECKS[field], text)
        try:
            BuildAsked.model_validate_json(BuildAsked.model_construct(**{**GOOD, field: text}).model_dump_json())
        except ValidationError as error:
            assert not told and [*mistakes(error)] == [field]
        else:
            assert told

    same()


def test_architectures_are_taken_as_the_kernel_calls_them() -> None:
    assert BuildAsked.model_validate({**GOOD, "arch": "x86_64"}).arch == "amd64"
    assert CoverageQuery.model_validate({"arch": "aarch64"}).arch == "arm64"


@pytest.mark.parametrize("name", ["opensuse-leap", "opensuse-tumbleweed"])
def test_distributions_are_taken_as_their_os_release_calls_them(name: str) -> None:
    assert BuildAsked.model_validate_json(BuildAsked(**{**GOOD, "distro": name}).model_dump_json()).distro == "opensuse"
    assert CoverageQuery.model_validate({"distro": name}).distro == "opensuse"


def test_a_version_of_a_distribution_is_a_series() -> None:
    assert CoverageQuery.model_validate({"distro": "debian", "series": "12"}).series == "bookworm"
    snapshot = CoverageQuery.model_validate({"distro": "opensuse-tumbleweed", "series": "20261120"})
    assert snapshot.takes(Target(distro="opensuse", series="tumbleweed", arch="amd64"))
    of_any = CoverageQuery.model_validate({"series": "12"})
    taken = [
        of_any.takes(Target(distro=distro, series=series, arch="amd64"))
        for distro, series in (("debian", "bookworm"), ("debian", "trixie"), ("ubuntu", "noble"))
    ]
    assert taken == [True, False, False]
    with pytest.raises(ValidationError) as told:
        CoverageQuery.model_validate({"distro": "ubuntu", "series": "99.04"})
    assert [*mistakes(told.value)] == ["series"]


def test_every_operation_is_described_and_every_schema_is_there() -> None:
    made = document("http://farm.example.org/api", "1")
    text = str(made)
    schemas = made["components"]["schemas"]  # type: ignore[index]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) == set(schemas)
    assert "$defs" not in text
    paths: dict[str, dict[str, object]] = made["paths"]  # type: ignore[assignment]
    assert {(path, method) for path, of in paths.items() for method in of} == {(o.path, o.method) for o in OPERATIONS}
    for each in OPERATIONS:
        assert issubclass(each.query, BaseModel)
