"""What a farm answers is what its clients read."""

import pytest
from kmodci import apianswers, told
from pydantic import BaseModel

PAIRS: list[tuple[type[BaseModel], type[BaseModel]]] = [
    (told.FileTold, apianswers.FileTold),
    (told.BuildTold, apianswers.BuildTold),
    (told.StandingTold, apianswers.StandingTold),
    (told.DoubtTold, apianswers.DoubtTold),
    (told.SourceTold, apianswers.SourceTold),
    (told.RunTold, apianswers.RunTold),
    (told.RunBuildTold, apianswers.RunBuildTold),
    (told.RunWholeTold, apianswers.RunAnswer),
    (told.RefusalTold, apianswers.ErrorTold),
]


@pytest.mark.parametrize(("read", "answered"), PAIRS)
def test_every_field_that_is_read_is_one_that_is_answered(read: type[BaseModel], answered: type[BaseModel]) -> None:
    assert read.model_fields.keys() <= answered.model_fields.keys()


def test_a_kernel_is_told_by_its_parts() -> None:
    parts = {"distro": "debian", "series": "sid", "arch": "amd64"}
    more = {"release": "7.3-amd64", "version": "7.3-1", "flavour": "amd64", "toolchain": "gcc-16", "repository": "sid"}
    answered = apianswers.KernelTold.model_validate({**parts, **more, "gone": None, "appeared": None, "builds": {}})
    read = told.KernelTold.model_validate(answered.model_dump())
    assert (read.target, read.release) == ("debian-sid-amd64", "7.3-amd64")
    assert told.KernelTold.model_validate(read.plain()) == read


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("plain, with\ttabs\nand lines, ä and 中", "plain, with\ttabs\nand lines, ä and 中"),
        ("\x1b[2J\x1b]52;c;bWluZQ==\x07gone", "[2J]52;c;bWluZQ==gone"),
        ("a\rb\x08c\x7fd\x00e\x9bf\x0bg", "abcdefg"),
    ],
)
def test_what_a_terminal_would_obey(text: str, left: str) -> None:
    assert told.printable(text) == left
