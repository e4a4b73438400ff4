import stat
from pathlib import Path

import pytest
from kmodci.errors import KmodciError, NotFound, SecretUnusable, StoreError
from kmodci.loginfile import Role
from kmodci.passwords import Unfit
from kmodci.release import BadName
from kmodci.users import FIRST, Users, first_user

PASSWORD, ANOTHER = "correct horse battery", "staple staple staple"


@pytest.fixture
def users(tmp_path: Path) -> Users:
    made = Users(tmp_path / "state" / "users.json")
    made.add("alice", Role.BUILD, PASSWORD)
    return made


def test_who_has_both_right_comes_in(users: Users) -> None:
    found = users.login("alice", PASSWORD)
    assert found and (found.name, found.role.all) == ("alice", ("read", "build"))
    assert users.login("alice", ANOTHER) is None
    assert users.login("bob", PASSWORD) is None
    assert users.login("", "") is None


def test_the_file_is_its_owners_and_holds_no_password(users: Users) -> None:
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600
    assert PASSWORD not in users.path.read_text()
    users.path.chmod(0o640)
    with pytest.raises(SecretUnusable, match="others may read it"):
        users.login("alice", PASSWORD)


def test_what_another_has_changed_counts_at_once(users: Users) -> None:
    other, before = Users(users.path), users.find("alice")
    other.set_password("alice", ANOTHER)
    other.set_role("alice", Role.OPERATE)
    after = users.login("alice", ANOTHER)
    assert after and before and (after.role, after.mark != before.mark) == (Role.OPERATE, True)
    assert users.login("alice", PASSWORD) is None
    other.remove("alice")
    assert users.login("alice", ANOTHER) is None


def test_mistakes_are_told_and_lose_nothing(users: Users) -> None:
    for name in ("Alice", "a b", "../x", "", "<b>", "anonymous"):
        with pytest.raises(BadName):
            users.add(name, Role.READ, PASSWORD)
    with pytest.raises(KmodciError, match="there is a user alice"):
        users.add("alice", Role.READ, PASSWORD)
    for change in (users.remove, users.get, lambda name: users.set_role(name, Role.READ)):
        with pytest.raises(NotFound, match="there are: alice"):
            change("bob")
    with pytest.raises(Unfit):
        users.set_password("alice", "short")
    assert users.login("alice", PASSWORD)


def test_a_damaged_file_lets_nobody_in_and_is_not_quoted(users: Users) -> None:
    users.path.write_text('{"users": [{"name": "alice", "password": "secret"')
    with pytest.raises(StoreError) as caught:
        users.login("alice", PASSWORD)
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreError):
        users.add("bob", Role.READ, PASSWORD)
    assert "secret" in users.path.read_text(), "nothing was written over it"


def test_a_new_farm_has_a_user_and_makes_it_once(tmp_path: Path) -> None:
    users, place = Users(tmp_path / "users.json"), tmp_path / "password"
    assert first_user(users, place)
    password = place.read_text().strip()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    found = users.login(FIRST, password)
    assert found and found.role is Role.OPERATE
    assert not first_user(users, place)
    assert place.read_text().strip() == password
    users.remove(FIRST)
    assert not first_user(users, place), "who was removed does not come back"
