"""Every error a user can meet. Each says what is wrong, where, and, as the hint, what to do.

KmodciError
  +- SettingsError       the configuration has mistakes (all of them at once)
  +- FetchError          a URL could not be read
  |    +- Gone           ... because the server no longer has it (404, 410)
  +- IndexDamaged        an index or package is not what its signature or hash says
  |    +- Backwards      ... or is older than what was there (`discovery`)
  |    +- Doubted        ... or says what is not believed yet (`doubt`)
  +- StoreError          database or bucket
  +- EngineError         the Docker engine, or an image on it
  +- BuildImpossible     this build cannot be tried, and why
  |    +- HeadersUnusable  ... because what its kernel is made of will not do, however often it is tried
  +- VerifyError         what was built must not be published, with the list of reasons
  +- SecretUnusable      a file that holds a secret is open to others, or holds none
  +- NotFound            a name the user gave does not exist, with the nearest that do
  +- Denied              the engine's proxy does not pass on what was asked of it
  +- Refused             a farm that was asked over HTTP will not do it
  +- FarmAway            a farm that was asked over HTTP gave no answer, so nothing is known
"""

from collections.abc import Sequence


class KmodciError(Exception):
    """What went wrong in one sentence, and what to do about it.

    exit_code: what the command line exits with.
    """

    exit_code = 1

    def __init__(self, brief: str, *, hint: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.brief}\n  hint: {self.hint}" if self.hint else self.brief


class SettingsError(KmodciError):
    """All mistakes of a configuration, each as `file:line: what (hint)`."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        count = len(problems)
        super().__init__(
            f"{count} mistake{'s' if count != 1 else ''} in the configuration:\n"
            + "\n".join(f"  {problem}" for problem in problems)
        )
        self.problems = tuple(problems)


class FetchError(KmodciError):
    """A URL could not be read; says nothing about what it would have held."""

    def __init__(self, url: str, why: str, *, hint: str = "") -> None:
        super().__init__(f"{url}: {why}", hint=hint)
        self.url = url
        self.why = why


class Gone(FetchError):
    """The server answered that it does not have this URL (404 or 410)."""


class IndexDamaged(KmodciError):
    """A signed index, or a file named by one, is not what the signature or the hash says."""


class StoreError(KmodciError):
    """The database or the bucket did not do what was asked."""


class EngineError(KmodciError):
    """The Docker engine, or an image on it, is not usable."""


class Denied(KmodciError):
    """What was asked of the engine is nothing that a farm may ask for."""


class BuildImpossible(KmodciError):
    """This build cannot be tried."""


class HeadersUnusable(BuildImpossible):
    """What a kernel's headers are to be made of is not what it should be, or gives none; nor would it the next time."""


class VerifyError(KmodciError):
    """What was built must not be published."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class SecretUnusable(KmodciError):
    """A file that should hold a secret is not kept from others, or holds none. Never tells what is in it."""


class NotFound(KmodciError):
    """A name the user gave does not exist. nearest: those that do, and are called nearly so."""

    exit_code = 2

    def __init__(self, brief: str, *, hint: str = "", nearest: Sequence[str] = ()) -> None:
        super().__init__(brief, hint=hint)
        self.nearest = tuple(nearest)


class Refused(KmodciError):
    """A farm that was asked over HTTP will not do it: a token, a wrong word, a wrong address."""

    exit_code = 2


class FarmAway(KmodciError):
    """A farm that was asked over HTTP gave no answer, or not in time: nothing is known of what was asked for."""

    exit_code = 3
