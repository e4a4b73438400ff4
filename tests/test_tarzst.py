import os
import subprocess
from pathlib import Path

import pytest
from kmodci.errors import IndexDamaged
from kmodci.tarzst import Kind, Member, extended, frame, packed, read, replacing, write

LONG = "a" * 60 + "/" + "b" * 80
MEMBERS = [
    Member(name="folder", kind=Kind.FOLDER),
    Member(name="folder/run.sh", data=b"#!/bin/sh\n", executable=True),
    Member(name="folder/übung.h", data=b"x" * 1000),
    Member(name=LONG, data=b"long"),
    Member(name="link", kind=Kind.LINK, target="folder/run.sh"),
    Member(name="far", kind=Kind.LINK, target=LONG),
    Member(name="empty"),
]


def test_gnu_tar_unpacks_it(tmp_path: Path) -> None:
    write(tmp_path / "x.tar.zst", [frame(MEMBERS[:3]), frame(MEMBERS[3:])])
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        ["tar", "--zstd", "-xf", tmp_path / "x.tar.zst", "-C", out], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert (out / "folder/run.sh").read_bytes() == b"#!/bin/sh\n"
    assert (out / "folder/run.sh").stat().st_mode & 0o777 == 0o755
    assert (out / "folder/übung.h").stat().st_mode & 0o777 == 0o644
    assert (out / "far").read_bytes() == b"long"
    assert (out / "link").readlink() == Path("folder/run.sh")
    assert (out / "empty").read_bytes() == b""


def test_same_members_same_bytes_and_facts(tmp_path: Path) -> None:
    first = write(tmp_path / "a", [frame(MEMBERS)])
    second = write(tmp_path / "b", [frame(MEMBERS)])
    assert first == second
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert first.size == (tmp_path / "a").stat().st_size


def test_read_across_frames(tmp_path: Path) -> None:
    write(tmp_path / "x", [frame(MEMBERS[:3]), frame(MEMBERS[3:])])
    assert read(tmp_path / "x", ["folder/run.sh", LONG]) == {"folder/run.sh": b"#!/bin/sh\n", LONG: b"long"}


def test_read_names_what_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "x", [frame(MEMBERS)])
    with pytest.raises(IndexDamaged, match=r"has no \.config"):
        read(tmp_path / "x", [".config", "empty"])


@pytest.mark.parametrize("damage", [lambda b: b[:-40], lambda b: b"no archive", lambda b: b[:200] + b"\0" + b[201:]])
def test_read_refuses_a_damaged_archive(tmp_path: Path, damage) -> None:
    write(tmp_path / "x", [frame([*MEMBERS, Member(name="last", data=bytes(range(256)) * 100)])])
    (tmp_path / "x").write_bytes(damage((tmp_path / "x").read_bytes()))
    with pytest.raises(IndexDamaged):
        read(tmp_path / "x", ["last", "not there"])


def test_read_of_an_archive_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(IndexDamaged, match="cannot be read"):
        read(tmp_path / "gone", ["x"])


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "x") as file:
        file.write(b"half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_further_members_take_the_place_of_others(tmp_path: Path) -> None:
    write(tmp_path / "x", [frame(MEMBERS)])
    facts = extended(
        tmp_path / "x", tmp_path / "y", [Member(name="folder/run.sh", data=b"#!/bin/bash\n", executable=True)]
    )
    assert facts.size == (tmp_path / "y").stat().st_size
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "--zstd", "-xf", tmp_path / "y", "-C", tmp_path / "out"], check=True)
    assert (tmp_path / "out/folder/run.sh").read_bytes() == b"#!/bin/bash\n"
    assert (tmp_path / "out/empty").exists()
    assert extended(tmp_path / "x", tmp_path / "z", []) == extended(tmp_path / "x", tmp_path / "z", [])


def test_what_is_no_archive_of_ours_is_not_extended(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(frame(MEMBERS))
    with pytest.raises(IndexDamaged, match="does not end as our archives do"):
        extended(tmp_path / "x", tmp_path / "y", [])
    assert not (tmp_path / "y").exists()


def test_a_folder_is_the_same_bytes_whenever_it_was_made_and_whosever_it_is(tmp_path: Path) -> None:
    """As the worker is: made anew on another disk, in another order, some of it linked."""
    for number, names in enumerate([("b", "a/x", "a/y"), ("a/y", "a/x", "b")]):
        root = tmp_path / f"made-{number}"
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.parent.chmod(0o755)
            path.write_text(name)
            path.chmod(0o755 if name == "b" else 0o644)
            os.utime(path, (number, number))
        (root / "link").symlink_to("a/x")
        (tmp_path / f"other-{number}").hardlink_to(root / "b")
        packed(root, tmp_path / f"{number}.tar.zst", below="/kmodci")
    assert (tmp_path / "0.tar.zst").read_bytes() == (tmp_path / "1.tar.zst").read_bytes()
    done = subprocess.run(["tar", "--zstd", "-tvf", tmp_path / "0.tar.zst"], capture_output=True, text=True, check=True)
    words = [line.split() for line in done.stdout.splitlines()]
    assert [(each[0], each[1], each[5]) for each in words] == [
        ("drwxr-xr-x", "0/0", "kmodci/"),
        ("drwxr-xr-x", "0/0", "kmodci/a/"),
        ("-rw-r--r--", "0/0", "kmodci/a/x"),
        ("-rw-r--r--", "0/0", "kmodci/a/y"),
        ("-rwxr-xr-x", "0/0", "kmodci/b"),
        ("lrwxrwxrwx", "0/0", "kmodci/link"),
    ]
