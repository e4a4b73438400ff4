import stat
from dataclasses import replace
from pathlib import Path

import pytest
from kmodci.acceptance import Acceptances
from kmodci.doubt import Doubt
from kmodci.errors import StoreError

DOUBT = Doubt(digest="d", what="it lists no kernel", since=0.1 + 0.2, looks=1, last=5.0)


@pytest.fixture
def acceptances(tmp_path: Path) -> Acceptances:
    return Acceptances(tmp_path / "accepted")


def test_it_is_of_one_doubt_of_one_repository(acceptances: Acceptances) -> None:
    assert acceptances.find("sid main", DOUBT) is None
    acceptances.put("sid main", DOUBT, by="ada", at=7.0)
    found = acceptances.find("sid main", DOUBT)
    assert found and (found.by, found.at) == ("ada", 7.0)
    # which goes on
    assert acceptances.find("sid main", replace(DOUBT, looks=2, last=9.0)) == found
    for other in (replace(DOUBT, digest="e"), replace(DOUBT, since=9.0), None):
        assert acceptances.find("sid main", other) is None
    assert acceptances.find("sid", DOUBT) is None
    acceptances.put("sid main", replace(DOUBT, digest="e"), by="eve", at=8.0)
    assert acceptances.find("sid main", DOUBT) is None


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "a b", "ä", "x" * 300])
def test_a_name_is_no_path(acceptances: Acceptances, name: str) -> None:
    acceptances.put(name, DOUBT, by="ada", at=7.0)
    [note] = acceptances.folder.iterdir()
    assert note.name.removesuffix(".json").isalnum()
    # the master may be another user than who types the command
    assert stat.S_IMODE(note.stat().st_mode) == 0o644
    assert acceptances.find(name, DOUBT)


def test_what_cannot_be_read_or_written_is_told(acceptances: Acceptances, tmp_path: Path) -> None:
    acceptances.put("sid main", DOUBT, by="ada", at=7.0)
    [note] = acceptances.folder.iterdir()
    note.write_text('{"source": "sid main"}')
    with pytest.raises(StoreError) as caught:
        acceptances.find("sid main", DOUBT)
    assert str(note) in caught.value.brief and "delete it" in caught.value.hint
    with pytest.raises(StoreError, match=r"none/accepted"):
        Acceptances(tmp_path / "none" / "accepted").put("sid main", DOUBT, by="ada", at=7.0)
