"""`kmodci notify`, with the farm's own reporters and receivers on this machine."""

import json
from collections.abc import Callable, Mapping
from email import message_from_string, policy
from pathlib import Path

import pytest
from kmodci.news import TestNews
from kmodci.newsstore import Letter, NewsStore
from kmodci.settings import load
from kmodci.store import Store
from support.certificates import certificate
from support.receivers import Hook, Mailbox, hook, knows, mailbox
from support.s3 import free_port

Run = Callable[..., tuple[int, str, str]]
SECRET = "T0/B0/xyzzy-plugh"


@pytest.fixture
def secrets(config: Path) -> dict[str, str]:
    """Name -> file: of an address, a token and a password."""
    found = {}
    for name, content in (("token", "t0p-tok3n"), ("password", "p4ssw0rd")):
        path = config / name
        path.write_text(content)
        path.chmod(0o600)
        found[name] = str(path)
    return found


def configure(config: Path, receivers: Mapping[str, object]) -> None:
    path = config / "kmodci.yml"
    path.write_text(f"{path.read_text()}\nnotify: {json.dumps(receivers)}\n")


def webhook(config: Path, at: Hook, name: str, **more: object) -> dict[str, object]:
    """Whose address is a secret."""
    path = config / f"url-{name}"
    path.write_text(f"{at.url}/{SECRET}\n")
    path.chmod(0o600)
    return {"webhook": {"url_file": str(path), **more}}


def mail(at: Mailbox, **more: object) -> dict[str, object]:
    to = ["ann@example.org", "ben@example.org"]
    return {"mail": {"to": to, "from": "kmodci@example.org", "port": at.port, "server": "localhost", **more}}


def test_who_is_told(run: Run, config: Path) -> None:
    assert run("notify") == (0, "nobody is told: notify: in kmodci.yml has no receivers\n", "")
    assert "no receivers" in run("notify", "--test")[1]
    configure(config, {"team": {"webhook": {"url": "http://127.0.0.1:1"}, "on": ["failures"], "forced": True}})
    out = run("notify")[1].splitlines()
    assert out[1].split("  ")[0] == "team"
    assert out[1].endswith("failures, forced too  nothing")
    store = Store(load(config).database_url)
    store.create()
    letter = Letter(receiver="team", id="x", written=1.0, news=TestNews(url="http://f"))
    NewsStore(store).write(letters=[letter])
    store.close()
    assert "1, since " in run("notify")[1]
    [team] = json.loads(run("notify", "--json")[1])["receivers"]
    assert team["waiting"] == [{"written": 1.0, "title": "a test message of kmodci"}]
    status, _, err = run("notify", "taem")
    assert (status, err.splitlines()[0]) == (2, "error: no receiver 'taem' (did you mean 'team'?)")


@pytest.mark.slow
def test_each_is_sent_a_test_message_and_what_it_answers_is_told(
    run: Run, config: Path, secrets: dict[str, str]
) -> None:
    with hook() as good, hook(status=404, said="no PATH here") as bad, hook(status=302) as away, mailbox() as box:
        away.location = f"{good.url}/elsewhere"
        box.refuses.add("ben@example.org")
        api = {"token_file": secrets["token"], "base_url": f"{good.url}/api/v3"}
        receivers = {
            "team": webhook(config, good, "team", format="slack"),
            "program": {"webhook": {"url": f"{good.url}/json", "token_file": secrets["token"]}},
            "disco": webhook(config, good, "disco", format="discord"),
            "list": mail(box),
            "upstream": {"github": api},
            "wrong": webhook(config, bad, "wrong"),
            "moved": webhook(config, away, "moved"),
            "down": {"webhook": {"url": f"http://127.0.0.1:{free_port()}"}},
            "denied": {"github": {**api, "base_url": bad.url}},
        }
        configure(config, receivers)
        status, out, _ = run("notify", "--test")
    assert status == 1
    said = dict(line.split(": ", 1) for line in out.splitlines())
    assert said.pop("down").startswith("not reached: Connection was refused")
    assert said == {
        "team": "good: 200 ok",
        "program": "good: 200 ok",
        "disco": "good: 200 ok",
        "list to ann@example.org": "good: accepted",
        "list to ben@example.org": "not reached: 550 nobody of that name",
        "upstream": "good: the token is taken; no status was set",
        "wrong": "not reached: 404 no ... here",
        "moved": "not reached: 302 it redirects to another address, which is not followed: name that one",
        "denied": "not reached: 404 no / here",
    }
    assert not any(secret in out for secret in (SECRET, "t0p-tok3n"))
    slack, disco = good.posted(f"/{SECRET}")
    assert slack["text"].startswith("<http://127.0.0.1:8010/|a test message")
    assert disco["allowed_mentions"] == {"parse": []}
    [told] = good.posted("/json")
    assert (told["kind"], told["format"]) == ("test", 1)
    headers = {each.path: each.headers.get("Authorization") for each in good.got}
    assert headers["/json"] == "Bearer t0p-tok3n" and headers["/api/v3/"] == "token t0p-tok3n"
    assert "/elsewhere" not in headers
    [(to, text)] = box.got
    message = message_from_string(text, policy=policy.default)
    assert to == ["ann@example.org"]
    assert message["To"] == "ann@example.org"
    assert message["Subject"] == "a test message of kmodci"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"


@pytest.mark.slow
# aiosmtpd does not see that a connection which begins with TLS has it
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("tls", ["starttls", "smtps"])
def test_a_mail_server_proves_who_it_is_and_is_told_the_password(
    run: Run, config: Path, secrets: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: str
) -> None:
    public, context = certificate(tmp_path)
    how = {"ssl_context": context} if tls == "smtps" else {"tls_context": context, "require_starttls": True}
    with mailbox(
        authenticator=knows("kmodci", "p4ssw0rd"), auth_required=True, auth_require_tls=tls == "starttls", **how
    ) as box:
        login = {"user": "kmodci", "password_file": secrets["password"], "tls": tls}
        Path(secrets["token"]).write_text("wr0ng")
        wrong = {**login, "password_file": secrets["token"]}
        configure(config, {"list": mail(box, **login), "wrong": mail(box, **wrong)})
        status, out, _ = run("notify", "--test", "list")
        assert status == 1
        assert "certificate verify failed" in out
        assert box.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        told = "list to ann@example.org: good: accepted\nlist to ben@example.org: good: accepted\n"
        assert run("notify", "--test", "list") == (0, told, "")
        assert len(box.got) == 2
        status, out, _ = run("notify", "--test", "wrong")
        assert (status, out.partition(": 535")[0]) == (1, "wrong to ann@example.org: not reached")
        assert "wr0ng" not in out


@pytest.mark.slow
def test_a_secret_that_is_none_is_told_without_it(run: Run, config: Path, secrets: dict[str, str]) -> None:
    configure(config, {"team": {"webhook": {"url_file": secrets["token"]}}})
    status, out, err = run("notify", "--test")
    assert (status, err) == (1, "")
    assert out.rstrip().endswith("token: does not hold an address (https://...)")
    assert "t0p" not in out
