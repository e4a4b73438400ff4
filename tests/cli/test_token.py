"""`kmodci token`."""

import json
from pathlib import Path

from kmodci.settings import load
from kmodci.tokens import May, Tokens

from .conftest import Run


def test_a_token_is_made_listed_and_removed(run: Run, config: Path) -> None:
    status, said, noted = run("token", "add", "node-1")
    secret = said.strip()
    assert status == 0 and secret.startswith("kmodci_") and secret not in noted
    found = Tokens(load(config).tokens_file).find(secret)
    assert found and (found.name, found.may) == ("node-1", May.BUILD)
    status, said, _ = run("token", "add", "reader", "--may", "read", "--json")
    assert (status, json.loads(said)["may"]) == (0, "read")
    status, said, _ = run("token", "list")
    assert status == 0 and [line.split()[:2] for line in said.splitlines()[1:]] == [
        ["node-1", "build"],
        ["reader", "read"],
    ]
    assert secret not in said
    assert [each["name"] for each in json.loads(run("token", "list", "--json")[1])] == ["node-1", "reader"]
    assert run("token", "remove", "node-1")[0] == 0
    assert Tokens(load(config).tokens_file).find(secret) is None


def test_mistakes_are_told(run: Run) -> None:
    assert "there is no token" in run("token", "list")[2]
    run("token", "add", "node")
    status, _, noted = run("token", "add", "node")
    assert status == 1 and "kmodci token remove node" in noted
    status, _, noted = run("token", "remove", "nodes")
    assert status == 2 and "there are: node" in noted
    assert run("token", "add", "No Name")[0] == 2
    assert run("token", "add", "x", "--may", "everything")[0] == 2
