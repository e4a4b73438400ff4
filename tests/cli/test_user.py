import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from kmodci.settings import load
from kmodci.users import Users

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "given"
    path.write_text("correct horse battery\nand what is below\n")
    return path


def test_a_user_from_the_first_day_to_the_last(run: Run, config: Path, password: Path) -> None:
    assert run("user", "list") == (0, "", "there is no user: `kmodci user add NAME` adds one\n")
    status, said, _ = run("user", "add", "alice", "--role", "operate", "--password-file", str(password))
    users = Users(load(config).users_file)
    assert (status, said) == (0, f"alice may operate from now on; the hash is in {users.path}\n")
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600
    assert users.login("alice", "correct horse battery")
    assert run("user", "role", "alice", "read")[0] == 0
    [told] = json.loads(run("user", "list", "--json")[1])
    assert (told["name"], told["role"]) == ("alice", "read") and "password" not in told
    password.write_text("another horse battery\n")
    assert run("user", "password", "alice", "--password-file", str(password))[0] == 0
    assert users.login("alice", "another horse battery") and not users.login("alice", "correct horse battery")
    assert run("user", "remove", "alice", "--json")[1] == '{\n "removed": "alice"\n}\n'
    assert users.all() == ()


def test_mistakes(run: Run, config: Path, password: Path) -> None:
    assert run("user", "add", "alice", "--password-file", str(password))[0] == 0
    for words, status, told in (
        (("add", "alice", "--password-file", str(password)), 1, "there is a user alice"),
        (("add", "Alice!", "--password-file", str(password)), 2, "not a user's name"),
        (("add", "bob", "--role", "admin"), 2, "'admin' is not one of"),
        (("add", "bob"), 2, "there is no terminal to ask for a password: say --password-file"),
        (("add", "bob", "correct horse battery"), 2, "unexpected extra argument"),
        (("password", "bob", "--password-file", str(password)), 2, "no user 'bob'\n  hint: there are: alice"),
        (("remove", "bob"), 2, "no user 'bob'"),
    ):
        found = run("user", *words)
        assert (found[0], told in found[2]) == (status, True), (words, found)
    password.write_text("short\n")
    status, _, err = run("user", "password", "alice", "--password-file", str(password))
    assert status == 2 and "at least 12 characters" in err and "short\n" not in err


def test_what_the_farm_wrote_down_of_its_first_user_goes_with_it(run: Run, config: Path, password: Path) -> None:
    state = load(config).state
    state.mkdir(exist_ok=True)
    (state / "password").write_text("made by the farm")
    assert run("user", "add", "kmodci", "--password-file", str(password))[0] == 0
    assert run("user", "password", "kmodci", "--password-file", str(password))[0] == 0
    assert not (state / "password").exists()


def test_where_others_know_the_users_there_are_none_here(run: Run, config: Path, tmp_path: Path) -> None:
    (config / "kmodci.yml").write_text(
        f"state: {tmp_path / 'state'}\nweb: {{proxies: [10.0.0.1]}}\n"
        "login: {proxy: {}, roles: {build: {domains: [example.org]}}}\n"
    )
    status, _, err = run("user", "list")
    assert status == 1 and "people log in by proxy here" in err and "login: roles:" in err
