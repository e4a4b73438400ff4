"""Opens what answers a command, from what its options say."""

from pathlib import Path

from ..apiserver import Server, read_token
from .answers import Answers


def open_answers(
    *,
    is_remote: bool,
    config: object,
    server: object,
    token_file: object,
    insecure: object,
    scope: object = "",
    fresh: object = False,
) -> Answers:
    """From what the options say. Raises BadName, Refused, SecretUnusable."""
    # either brings much with it that the other does not need
    if is_remote:
        from .remote import Remote

        return Remote(*remote_of(server, token_file, insecure))
    from .local import Local

    assert isinstance(config, Path)
    return Local(config, str(scope or ""), fresh=bool(fresh))


def remote_of(server: object, token_file: object, insecure: object) -> tuple[Server, str]:
    """The farm that the options name, and the token; empty for none. Raises BadName, Refused, SecretUnusable."""
    at = Server.parse(str(server))
    return at, read_token(token_file, at, insecure=bool(insecure)) if isinstance(token_file, Path) else ""
