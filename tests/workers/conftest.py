from pathlib import Path

import pytest
from kmodci.workerbundle import make_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A worker bundle where a container's user can get at it."""
    folder = tmp_path_factory.mktemp("bundle")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    return make_bundle(folder)
