"""What GitHub, GitLab and Google say of somebody, and what of that is believed: a server answers as they do."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from kmodci.bot.login.landing import landing
from kmodci.bot.login.oauth import Google, provider
from kmodci.errors import SecretUnusable
from kmodci.loginfile import GitHubAt, GitLabAt, GoogleAt
from support.oauthserver import CLIENT_SECRET, TOKEN, Provider, oauth_server


@pytest.fixture
def served() -> Iterator[Provider]:
    with oauth_server() as made:
        yield made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{CLIENT_SECRET}\n")
    path.chmod(0o600)
    return path


def info(auth: object, token: Mapping[str, str] | None = None) -> dict[str, object]:
    return auth.getUserInfoFromOAuthClient(auth.createSessionFromToken(token or {"access_token": TOKEN}))  # type: ignore[attr-defined]


def test_github_is_believed_what_it_has_verified(served: Provider, secret: Path) -> None:
    auth = provider(GitHubAt(client_id="a", client_secret_file=secret, url=served.url), ["our-org"])
    served.answers = {
        "/api/v3/user": {"login": "Alice", "name": "<b>A</b>", "email": "boss@corp.example"},
        "/api/v3/user/emails": [
            {"email": "boss@corp.example", "primary": True, "verified": False},
            {"email": "alice@home.example", "primary": False, "verified": True},
        ],
        "/api/v3/user/orgs": [{"login": "Our-Org"}, {"login": "operate"}],
    }
    found = info(auth)
    assert found == {
        "username": "Alice",
        "full_name": "<b>A</b>",
        "email": "alice",
        "groups": ["our-org"],
        "way": "github",
    }
    served.answers["/api/v3/user/emails"] = [{"email": "Alice@Home.example", "primary": True, "verified": True}]
    assert info(auth)["email"] == "alice@home.example"


def test_gitlabs_groups_are_those_that_one_is_a_member_of_by_their_whole_path(served: Provider, secret: Path) -> None:
    auth = provider(GitLabAt(client_id="a", client_secret_file=secret, url=served.url), ["team/kernel", "operators"])
    many = [{"path": f"g{number}", "full_path": f"g{number}"} for number in range(100)]
    last = [{"path": "operators", "full_path": "evil/operators"}, {"path": "kernel", "full_path": "Team/Kernel"}]

    def groups(query: dict[str, list[str]]) -> object:
        # without this it lists whatever is public
        return [many, last][int(query["page"][0]) - 1] if query["min_access_level"] == ["10"] else []

    user = {"username": "alice", "name": None, "email": "a@b.example", "confirmed_at": "2026-01-01T00:00:00Z"}
    served.answers = {"/api/v4/user": user, "/api/v4/groups": groups}
    found = info(auth)
    assert found == {
        "username": "alice",
        "full_name": "alice",
        "email": "a@b.example",
        "groups": ["team/kernel"],
        "way": "gitlab",
    }
    served.answers["/api/v4/user"] = {**user, "confirmed_at": None}
    assert info(auth)["email"] == "alice"


def test_a_user_of_google_is_a_whole_address(served: Provider, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Google, "resourceEndpoint", served.url)
    auth = provider(GoogleAt(client_id="a", client_secret_file=secret), [])
    served.answers["/userinfo"] = {
        "email": "Alice@evil.example",
        "verified_email": True,
        "name": "Alice",
        "picture": "x",
    }
    assert (info(auth)["username"], info(auth)["email"]) == ("alice@evil.example",) * 2
    served.answers["/userinfo"] = {
        "email": "alice@corp.example",
        "verified_email": False,
        "name": "Alice",
        "picture": "x",
    }
    with pytest.raises(ValueError, match="not verified"):
        info(auth)


def test_no_token_is_in_an_address_nor_in_an_error(served: Provider, secret: Path) -> None:
    auth = provider(GitLabAt(client_id="a", client_secret_file=secret, url=served.url), [])
    with pytest.raises(Exception, match="403") as caught:
        info(auth)
    assert TOKEN not in str(caught.value) and not any(TOKEN in path for path in served.asked)
    with pytest.raises(KeyError):
        info(auth, {"error": "bad_verification_code"})


def test_a_secret_that_others_may_read_is_not_used(secret: Path) -> None:
    at = GitLabAt(client_id="a", client_secret_file=secret)
    secret.chmod(0o644)
    with pytest.raises(SecretUnusable):
        provider(at, [])


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("", ""),
        ("kmodci/runs/2026-11-23-231500?page=2", "kmodci/runs/2026-11-23-231500?page=2"),
        ("kmodci/sources/bookworm%20main", "kmodci/sources/bookworm%20main"),
        ("/builders/3", "#/builders/3"),
        ("https://evil.example", "#https://evil.example"),
        ("//evil.example", "#//evil.example"),
        ("kmodci//evil", "#kmodci//evil"),
        ("kmodci/../auth/logout", "#kmodci/../auth/logout"),
        ("kmodcix", "#kmodcix"),
        ("a\r\nSet-Cookie: b", "#aSet-Cookie: b"),
    ],
)
def test_where_one_comes_to(wanted: str, leads_to: str) -> None:
    assert landing(wanted) == leads_to
