import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from kmodci.errors import SettingsError
from kmodci.notifyfile import Receiver
from kmodci.settings import load

SHIPPED = Path(__file__).parents[1] / "config"
Notify = Callable[[str], Mapping[str, Receiver]]


@pytest.fixture
def notify(tmp_path: Path) -> Notify:
    """Reads a `notify:`; raises SettingsError. There is a `good` secret, and one that is `open`."""
    folder = tmp_path / "config"
    shutil.copytree(SHIPPED, folder)
    for name, mode in (("good", 0o600), ("open", 0o644)):
        (folder / name).write_text("hush")
        (folder / name).chmod(mode)

    def read(text: str) -> Mapping[str, Receiver]:
        (folder / "kmodci.yml").write_text("notify:\n" + text)
        return load(folder).notify

    return read


def test_nobody_is_told_as_shipped() -> None:
    assert load(SHIPPED).notify == {}


def test_each_kind(notify: Notify, tmp_path: Path) -> None:
    found = notify(
        "  chat: {webhook: {url_file: good, format: slack}, on: [failures]}\n"
        "  program: {webhook: {url: 'https://example.org/kmodci/'}, forced: true}\n"
        "  list: {mail: {to: kernels@example.org, from: kmodci@example.org}}\n"
        "  far: {mail: {to: [a@example.org, b@example.org], from: k@example.org, server: mail.example.org,"
        " user: kmodci, password_file: good}}\n"
        "  upstream: {github: {token_file: good}}\n"
        "  inside: {github: {token_file: good, base_url: 'https://github.example.com/api/v3', context: builds}}\n"
    )
    assert [each.kind for each in found.values()] == ["webhook", "webhook", "mail", "mail", "github", "github"]
    chat, program = found["chat"], found["program"]
    assert chat.webhook and chat.webhook.url_file == tmp_path / "config" / "good"
    assert (chat.on, chat.forced) == (("failures",), False)
    assert program.webhook and (program.webhook.format, program.on) == ("json", ("runs", "failures"))
    assert program.forced
    near, far = found["list"].mail, found["far"].mail
    assert near and (near.to, near.security, near.port_used) == (("kernels@example.org",), "none", 25)
    assert far and (far.sender, far.security, far.port_used) == ("k@example.org", "starttls", 587)
    assert [each.github.host for each in found.values() if each.github] == ["github.com", "github.example.com"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  x: {}", "should have exactly one of webhook:, mail:, github:"),
        ("  x: {webhook: {url: 'http://a'}, github: {token_file: good}}", "should have exactly one of"),
        ("  x: {webhook: {}}", "needs either url: or, where the address is a secret, url_file:"),
        ("  x: {webhook: {url: 'http://a', url_file: good}}", "needs either url: or"),
        ("  x: {webhook: {url: 'ftp://a'}}", "not a URL that can be used here: 'ftp://a'"),
        ("  x: {webhook: {url: 'file:///etc/passwd'}}", "not a URL that can be used here"),
        ("  x: {webhook: {url: 'http://me:secret@a'}}", "a URL may not hold a password"),
        ("  x: {webhook: {url: 'http://a', format: teams}}", "should be 'json', 'slack' or 'discord', not 'teams'"),
        ("  x: {webhook: {url_file: open}}", "open: others may read it (chmod 600 "),
        ("  x: {webhook: {url_file: none}}", "none: no such file"),
        ("  x: {webhook: {ulr_file: good}}", "unknown key 'ulr_file' (did you mean 'url_file'?)"),
        ("  x: {webhook: {url: 'http://a'}, on: []}", "should not be empty"),
        ("  x: {webhook: {url: 'http://a'}, on: [run]}", "should be 'runs' or 'failures', not 'run'"),
        ("  x: {mail: {to: a@b.org}}", "from is missing"),
        ("  x: {mail: {to: a@b.org, form: a@b.org, from: a@b.org}}", "unknown key 'form' (did you mean 'from'?)"),
        ("  x: {mail: {to: [], from: a@b.org}}", "should not be empty"),
        ("  x: {mail: {to: root, from: a@b.org}}", "not a mail address (name@example.org): 'root'"),
        ('  x: {mail: {to: "a@b.org\\nBcc: c@d.org", from: a@b.org}}', "not a mail address"),
        ("  x: {mail: {to: a@b.org, from: a@b.org, server: 'a b'}}", "not a host's name or address: 'a b'"),
        ("  x: {mail: {to: a@b.org, from: a@b.org, port: 70000}}", "less than or equal to 65535"),
        ("  x: {mail: {to: a@b.org, from: a@b.org, user: me}}", "user: and password_file: go together"),
        (
            "  x: {mail: {to: a@b.org, from: a@b.org, server: b.org, tls: none, user: me, password_file: good}}",
            "a password would cross the network in the clear",
        ),
        ("  x: {github: {token: secret}}", "unknown key 'token' (did you mean 'token_file'?)"),
        ("  x: {github: {token_file: good}, on: [runs]}", "on: and forced: mean nothing here"),
        ("  X y: {github: {token_file: good}}", "not a name: 'X y'"),
    ],
)
def test_mistakes_are_told_with_their_line(notify: Notify, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        notify(text)
    assert any("kmodci.yml:2: " in each and told in each for each in caught.value.problems), caught.value
    assert "hush" not in str(caught.value)
