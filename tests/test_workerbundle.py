import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kmodci.workerbundle import SCRIPTS, bundle_name, make_bundle, python_command, worker_command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Made under the strictest umask, which must not show."""
    before = os.umask(0o077)
    yield make_bundle(tmp_path_factory.mktemp("bundles"))
    os.umask(before)


def run(bundle: Path, code: str, **environment: str) -> str:
    command = [*python_command(str(bundle)), "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_second_call_does_nothing(bundle: Path) -> None:
    before = bundle.stat()
    assert make_bundle(bundle.parent) == bundle
    assert bundle.stat() == before
    assert list(bundle.parent.iterdir()) == [bundle]


def test_another_script_makes_another_bundle(tmp_path: Path) -> None:
    scripts = tmp_path / "workers"
    shutil.copytree(SCRIPTS, scripts)
    assert bundle_name(scripts) == bundle_name()
    (scripts / "build-module").write_text("#!/bin/bash\n")
    assert bundle_name(scripts) != bundle_name()


def test_everything_comes_from_the_bundle(bundle: Path) -> None:
    code = f"""
import sys
sys.path.append({str(bundle / "site")!r})
import twisted, zope.interface, ssl, _ctypes
for module in list(sys.modules.values()):
    for place in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
        if place:
            print(place)
print(*(line.split()[-1] for line in open("/proc/self/maps") if "/" in line), sep="\\n")
"""
    places = set(run(bundle, code, PYTHONPATH="/nowhere", PYTHONHOME="/nowhere").split())
    code_of_others = {p for p in places if (".so" in p or ".py" in p) and not Path(p).is_relative_to(bundle)}
    assert not code_of_others
    assert str(bundle / "lib64" / "ld.so") in places


def test_a_child_does_not_inherit_the_libraries(bundle: Path) -> None:
    said = run(bundle, "import subprocess; print(subprocess.check_output(['/usr/bin/env']).decode())")
    assert "LD_" not in said
    assert "PYTHON" not in said


def test_another_user_may_read_all_and_change_nothing(bundle: Path) -> None:
    for path in (bundle, *bundle.rglob("*")):
        mode = path.stat().st_mode
        assert mode & 0o044 == 0o044, path
        assert not mode & 0o022, path
        assert not path.is_symlink(), path
    assert os.access(bundle / "build-module", os.X_OK)


def test_the_worker_is_started_where_it_is_mounted() -> None:
    assert worker_command("/kmodci")[0] == "/kmodci/lib64/ld.so"
    assert worker_command("/kmodci")[-1] == "/kmodci/worker.py"
