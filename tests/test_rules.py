"""Who has which role, without a master."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from buildbot.data.exceptions import InvalidPathError
from kmodci.bot.login.proxied import ProxyAuth
from kmodci.bot.login.rules import Rules
from kmodci.loginfile import Login, People, ProxyAt, Role
from kmodci.schema import Web
from kmodci.users import Users
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.web.test.requesthelper import DummyRequest

EVERYTHING = {"read", "build", "operate"}
PEOPLE = {
    Role.READ: People(domains=("corp.example",)),
    Role.BUILD: People(users=("alice",), groups=("org/kernel",)),
    Role.OPERATE: People(emails=("boss@corp.example",)),
}


def rules(way: str = "proxy", users: Path | None = None) -> Rules:
    login = Login.model_construct(roles=PEOPLE, read="login", proxy=ProxyAt() if way == "proxy" else None)
    return Rules(login, Users(users or Path("nowhere")))


@pytest.mark.parametrize(
    ("who", "roles"),
    [
        ({"anonymous": True}, set()),
        ({"username": "alice"}, {"read", "build"}),
        ({"username": "Alice"}, set()),
        ({"username": "x", "groups": ["org/kernel"]}, {"read", "build"}),
        # a group is no role of its own name
        ({"username": "x", "groups": ["operate", "build", "owner"]}, set()),
        ({"username": "x", "email": "x@corp.example"}, {"read"}),
        ({"username": "x", "email": "x@evil.corp.example"}, set()),
        ({"username": "corp.example", "email": "corp.example"}, set()),
        ({"username": "b", "email": "boss@corp.example"}, EVERYTHING),
        ({"username": "operate", "email": "operate"}, set()),
    ],
)
def test_roles_that_are_listed(who: dict[str, object], roles: set[str]) -> None:
    assert rules().getRolesFromUser({**who, "way": "proxy"}) == roles
    # of who came in by a way that is not the farm's any more
    for way in ({"way": "github"}, {}):
        assert rules().getRolesFromUser({**who, **way}) == set()


def test_roles_of_users_with_passwords(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    users.add("alice", Role.OPERATE, "correct horse battery")
    found, known = users.find("alice"), rules("password", tmp_path / "users.json")
    assert found
    session = {"username": "alice", "email": "alice", "way": "password", "mark": found.mark}
    assert known.getRolesFromUser(session) == EVERYTHING
    assert known.getRolesFromUser({**session, "mark": "other"}) == set()
    assert known.getRolesFromUser({**session, "username": "bob"}) == set()
    assert known.getRolesFromUser({**session, "way": "github"}) == set()
    users.path.write_text("damaged")
    assert known.getRolesFromUser(session) == set(), "nobody comes in by a file that says nothing"


def test_an_owner_has_to_be_one_who_may_build() -> None:
    known = rules()
    known.setMaster(SimpleNamespace())
    assert known.getOwnerRolesFromUser({"username": "alice", "email": "alice", "way": "proxy"}, "alice") == {"owner"}
    assert known.getOwnerRolesFromUser({"username": "alice", "email": "alice", "way": "proxy"}, "bob") == set()
    assert known.getOwnerRolesFromUser({"username": "alice", "email": "alice", "way": "proxy"}, None) == set()
    assert known.getOwnerRolesFromUser({"username": "eve", "email": "eve", "way": "proxy"}, "eve") == set()
    assert known.getOwnerRolesFromUser({"anonymous": True}, "anonymous") == set()


def asked(peer: str, **headers: str) -> DummyRequest:
    request = DummyRequest([])
    request.client = (IPv6Address if ":" in peer else IPv4Address)("TCP", peer, 1)
    request.getClientAddress = lambda: request.client
    for name, value in headers.items():
        request.requestHeaders.setRawHeaders(name.replace("_", "-"), [value])
    return request


def test_a_proxy_is_believed_and_nobody_else() -> None:
    at = ProxyAt(groups_header="X-Remote-Groups")
    web = Web(proxies=("10.0.0.0/8", "::1"))
    login = Login.model_construct(proxy=at, roles=PEOPLE)
    auth = ProxyAuth(SimpleNamespace(web=web, login=login), at)  # type: ignore[arg-type]
    said = {"X_Remote_User": "Alice", "X_Remote_Groups": "other, Org/Kernel"}
    believed = {"username": "Alice", "email": "alice", "groups": ["org/kernel"], "way": "proxy"}
    for peer in ("10.1.2.3", "::1", "::ffff:10.0.0.1"):
        assert auth.user_of(asked(peer, **said)) == believed
    for peer in ("127.0.0.1", "192.0.2.1", "::2"):
        assert auth.user_of(asked(peer, **said, X_Forwarded_For="10.0.0.1")) == {"anonymous": True}
    for name in ("", "anonymous", "<script>", "a b", "a\x00b", "-x", "x" * 200):
        assert auth.user_of(asked("10.0.0.1", X_Remote_User=name)) == {"anonymous": True}


@pytest.mark.parametrize(
    ("action", "who", "read", "allowed"),
    [
        ("GET", "", "open", True),
        ("HEAD", "", "open", True),
        ("GET", "", "login", False),
        ("HEAD", "", "login", False),
        ("GET", "alice", "login", True),
        ("anything new", "", "open", False),
        ("anything new", "alice", "open", False),
        ("anything new", "boss@corp.example", "open", True),
    ],
)
def test_what_no_rule_names_is_for_who_operates(action: str, who: str, read: str, allowed: bool) -> None:
    def nowhere(path: object) -> None:
        raise InvalidPathError("there is no such path")

    known = Rules(Login.model_construct(roles=PEOPLE, read=read, proxy=ProxyAt()), Users(Path("nowhere")))
    known.setMaster(SimpleNamespace(data=SimpleNamespace(getEndpoint=nowhere)))
    user = {"username": who, "email": who, "way": "proxy"} if who else {"anonymous": True}
    came_of_it: list[object] = []
    known.assertUserAllowed(("kmodci", "runs"), action, {}, user).addBoth(came_of_it.append)
    assert (came_of_it == [None]) is allowed
