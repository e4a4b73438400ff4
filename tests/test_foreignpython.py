import io
import lzma
import tarfile
from pathlib import Path

import pytest
from kmodci.errors import EngineError
from kmodci.foreignpython import unpack_python

# an arm64 program that wants the C library, and is started by its loader
PROGRAM = lzma.decompress((Path(__file__).parent / "data" / "hosttools" / "fixdep.arm64.xz").read_bytes())
LINK = "link to "
WHOLE: dict[str, bytes | str] = {
    "./usr/bin/python3": f"{LINK}python3.11",
    "./usr/bin/python3.11": PROGRAM,
    "./usr/lib/python3.11/os.py": b"import sys",
    "./usr/lib/python3.11/test/big.py": b"...",
    "./usr/lib/python3.11/lib-dynload/_x.so": PROGRAM,
    "./usr/lib/python3.11/sitecustomize.py": f"{LINK}/etc/python3.11/sitecustomize.py",
    "./lib/aarch64-linux-gnu/libc.so.6": f"{LINK}libc-2.36.so",
    "./lib/aarch64-linux-gnu/libc-2.36.so": PROGRAM,
    "./lib/aarch64-linux-gnu/libm.so.6": b"which nothing needs",
    "./lib/aarch64-linux-gnu/ld-2.36.so": b"a loader",
    "./lib/ld-linux-aarch64.so.1": f"{LINK}/lib/aarch64-linux-gnu/../aarch64-linux-gnu/ld-2.36.so",
}


def packed(folder: Path, files: dict[str, bytes | str]) -> Path:
    with tarfile.open(folder / "packages.tar", "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content.removeprefix(LINK)
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return folder / "packages.tar"


def unpacked(folder: Path, files: dict[str, bytes | str]) -> str:
    return unpack_python(packed(folder, files), folder / "root", is_wanted=lambda parts: "test" not in parts)


def test_all_that_a_python_needs_and_no_more(tmp_path: Path) -> None:
    assert unpacked(tmp_path, WHOLE) == "3.11"
    found = {str(path.relative_to(tmp_path / "root")): path for path in (tmp_path / "root").rglob("*.*")}
    assert {name for name, path in found.items() if path.is_file()} == {
        "lib/python3.11/os.py",
        "lib/python3.11/lib-dynload/_x.so",
        "lib64/ld.so",
        "lib64/libc.so.6",
    }
    assert (tmp_path / "root" / "bin" / "python3").read_bytes() == PROGRAM
    assert found["lib64/ld.so"].read_bytes() == b"a loader"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"./usr/bin/python3.11": None}, "no python3 in the packages"),
        ({"./usr/bin/python3.11": b"#!/bin/sh"}, "no Python can be made"),
        ({"./lib/aarch64-linux-gnu/libc.so.6": None}, "no libc.so.6 in the packages"),
        ({"./lib/aarch64-linux-gnu/libc.so.6": f"{LINK}libc.so.6"}, "libc.so.6 is no file"),
        ({"./lib/aarch64-linux-gnu/libc.so.6": f"{LINK}../../../../etc/passwd"}, "etc/passwd is no file"),
        ({"./lib/ld-linux-aarch64.so.1": None}, "no loader"),
    ],
)
def test_packages_that_will_not_do(tmp_path: Path, change: dict[str, bytes | str | None], why: str) -> None:
    files = {name: content for name, content in {**WHOLE, **change}.items() if content is not None}
    with pytest.raises(EngineError, match=why):
        unpacked(tmp_path, files)


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "packages.tar").write_bytes(b"x" * 2000)
    with pytest.raises(EngineError, match="no Python can be made"):
        unpack_python(tmp_path / "packages.tar", tmp_path / "root", is_wanted=lambda _: True)
