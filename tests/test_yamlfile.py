from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kmodci.yamlfile import Document, Section, read, suggestion, validate


class Wheel(Section):
    size: int
    name: str = ""


class Car(Section):
    wheels: tuple[Wheel, ...] = ()
    colour: str | None = None


def document(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "car.yml"
    path.write_text(text)
    return read(path)


def mistakes(tmp_path: Path, text: str) -> list[str]:
    found = document(tmp_path, text)
    told = found.told([*found.mistakes, *validate(found, Car)[1]])
    return [line.removeprefix(f"{tmp_path}/") for line in told]


def test_scalars_are_text_until_a_setting_reads_them(tmp_path: Path) -> None:
    wheels = document(
        tmp_path, 'wheels: [{size: 08, name: no}, {size: 1, name: 1.10}, {size: 2, name: "null"}]\ncolour:'
    )
    car, found = validate(wheels, Car)
    assert car == Car(wheels=(Wheel(size=8, name="no"), Wheel(size=1, name="1.10"), Wheel(size=2, name="null")))
    assert found == []


def test_an_empty_file_leaves_everything_at_its_default(tmp_path: Path) -> None:
    assert validate(document(tmp_path, "# nothing\n"), Car) == (Car(), [])


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    text = """\
colur: red
wheels:
  - {size: big}
  - name: left
  - size: 2
    size: 3
    sze: 4
"""
    assert mistakes(tmp_path, text) == [
        "car.yml:1: unknown key 'colur' (did you mean 'colour'?)",
        "car.yml:3: wheels[0].size: should be a valid integer, unable to parse string as an integer, not 'big'",
        "car.yml:4: wheels[1].size is missing",
        "car.yml:6: 'size' is here a second time (first in line 5)",
        "car.yml:7: unknown key 'sze' (did you mean 'size'?)",
    ]


def test_what_is_right_beside_mistakes_can_still_be_looked_at(tmp_path: Path) -> None:
    text = "colour: [red]\nwheels: [{size: 1, name: left, sze: 2}]\n"
    assert validate(document(tmp_path, text.replace("[red]", "red")), Car)[0] == Car(
        colour="red", wheels=(Wheel(size=1, name="left"),)
    )
    assert validate(document(tmp_path, text), Car)[0] is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a", "the file: should be a mapping: key: value, but there is a list"),
        ("wheels: round", "wheels: should be a list: [one, two], not 'round'"),
        ("wheels: {size: 1}", "wheels: should be a list: [one, two], but there is a mapping"),
        ("wheels: [[]]", "wheels[0]: should be a mapping: key: value, but there is a list"),
        ("colour: [red]", "colour: should be a text, but there is a list"),
        ("? [a]\n: b", "a key has to be a word"),
    ],
)
def test_what_is_not_the_expected_kind(tmp_path: Path, text: str, told: str) -> None:
    assert mistakes(tmp_path, text) == [f"car.yml:1: {told}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wheels: [\n", "while parsing a flow node expected the node content"),
        ("colour: red\n\tx: y\n", "while scanning for the next token found character '\\t'"),
        ("a: 1\n---\nb: 2\n", "expected a single document in the stream but found another"),
    ],
)
def test_what_is_no_yaml(tmp_path: Path, text: str, told: str) -> None:
    (mistake,) = mistakes(tmp_path, text)
    assert mistake.startswith(f"car.yml:2: not YAML: {told}")


def test_aliases_are_refused_so_that_a_small_file_stays_small(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*d]\n"
    told = document(tmp_path, bomb)
    assert {line for line, what in told.mistakes if "alias" in what} == {1, 2, 4}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert read(tmp_path / "none.yml").mistakes == ((1, "no such file or directory"),)
    (tmp_path / "latin.yml").write_bytes(b"colour: gr\xfcn\n")
    assert read(tmp_path / "latin.yml").mistakes == ((1, "not UTF-8 text"),)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.sampled_from("ab:-?[]{}&*!|>'\"%@`# \n\t,0\x00\x07"), max_size=30))
def test_any_text_is_read_or_told_to_be_wrong(tmp_path: Path, text: str) -> None:
    found = document(tmp_path, text)
    model, wrong = validate(found, Car)
    assert model is not None or wrong or found.mistakes


def test_a_suggestion_only_where_a_name_is_near() -> None:
    assert suggestion("bookwrm", ["trixie", "bookworm"]) == " (did you mean 'bookworm'?)"
    assert suggestion("sid", ["trixie", "bookworm"]) == ""
