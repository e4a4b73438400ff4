"""kernel-crawler's published weaknesses, each run against our code: a fabricated repository that shows it, our answer.

What kernel-crawler answers was found in its checkout of 2026-11-23, by running it or by reading its code; what ours
answers is found out here and now.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from kmodci.cli.output import print_table
from kmodci.errors import KmodciError

from . import caserpms, caseruns

AS_OF = "kernel-crawler, 2026-11-23"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """theirs: its answer, and how that is known; ours: finds out ours in a folder."""

    what: str
    theirs: str
    ours: Callable[[Path], str]


CASES: Sequence[Case] = (
    Case(
        what="a mirror cannot be reached, another can",
        theirs="no kernel of the distribution, `{}`, exit status 0 (run)",
        ours=caseruns.unreachable_mirror,
    ),
    Case(
        what="a mirror that answers 503 once",
        theirs="nothing is asked for twice (code)",
        ours=caseruns.busy_mirror,
    ),
    Case(
        what="no mirror can be reached, and kernels were known",
        theirs="`{}`, exit status 0: who compares takes all of them away (run)",
        ours=caseruns.no_mirror,
    ),
    Case(
        what="a repository is suddenly empty",
        theirs="left out of the list, like one that could not be read (code)",
        ours=caseruns.emptied,
    ),
    Case(
        what="seven kernels, one of them versioned 6.14.0~rc1; a package named with $(id)",
        theirs="none of them, exit status 0 (run, for Ubuntu)",
        ours=caseruns.odd_package,
    ),
    Case(
        what="an rpm repository without SQLite, compressed with zstd",
        theirs="`{}`, without a word (run)",
        ours=caserpms.without_sqlite,
    ),
    Case(
        what="Amazon Linux 2023: kernel-devel, kernel6.12-devel, kernel6.18-devel",
        theirs="6.1 only (run)",
        ours=caserpms.amazon_series,
    ),
    Case(
        what="Red Hat's family: kernel-devel, kernel-64k-devel, kernel-rt-devel",
        theirs="the first only (run)",
        ours=caserpms.red_hat_flavours,
    ),
    Case(
        what="ELRepo: kernel-ml-devel, kernel-lt-devel",
        theirs="the first only (code)",
        ours=caserpms.elrepo,
    ),
    Case(
        what="Fedora: a kernel that the updates have dropped",
        theirs="not found: the address of the archive of updates is wrong (code)",
        ours=caserpms.fedora_updates,
    ),
    Case(
        what="Oracle Linux: a kernel of UEK, and how many requests it takes",
        theirs="100 guessed addresses per architecture (code)",
        ours=caserpms.oracle,
    ),
    Case(
        what="openSUSE: three kernels in a repository, each rebuilt",
        theirs="one per repository, with the number of the build and without the flavour (code)",
        ours=caserpms.suse,
    ),
    Case(
        what="Debian: what `uname -r` prints on 6.1.192-2",
        theirs="6.1.192-2-amd64; of 208 entries none equals uname -r (run)",
        ours=caseruns.debian_release,
    ),
    Case(
        what="Ubuntu: 6.11.0-17-generic of HWE, azure-fde, generic-64k, lowlatency of universe",
        theirs="6.11.0-17-hwe; two under other flavours (run); the last not read (code)",
        ours=caseruns.ubuntu_flavours,
    ),
    Case(
        what="Arch: what `uname -r` prints on linux 6.12.7.arch1-1",
        theirs="6.12.7.arch1-1 (code)",
        ours=caseruns.arch_release,
    ),
    Case(
        what="arm64 with pages of 4k and of 16k",
        theirs="one entry for both; 20 kernels of Debian lost (run)",
        ours=caseruns.pages_of_16k,
    ),
    Case(
        what="a release candidate, 7.3-amd64 of 7.3~rc7-1~exp1",
        theirs="not found (run)",
        ours=caseruns.release_candidate,
    ),
    Case(
        what="a real-time kernel without a common-rt package, as since 7.0",
        theirs="not found: 21 kernels of Debian with release candidates (run)",
        ours=caseruns.real_time,
    ),
    Case(
        what="the same linux-kbuild in two suites",
        theirs="that of the suite read last, for 90 of 208 entries; 71 of 104 have URLs that exist (run)",
        ours=caseruns.kbuild_of_two_suites,
    ),
    Case(
        what="its own list with such an entry, and with two kernels in one",
        theirs="-",
        ours=caseruns.own_list,
    ),
    Case(
        what="two runs over the same data",
        theirs="9 of 104 entries the same, byte for byte (run)",
        ours=caseruns.two_runs,
    ),
    Case(
        what="both architectures in one process",
        theirs="Arch: the second run crawls the first one's URLs as well (code)",
        ours=caseruns.both_architectures,
    ),
    Case(
        what="an index that somebody changed on its way",
        theirs="taken: http, no signature, no checksum (code)",
        ours=caseruns.changed_index,
    ),
    Case(
        what="a mirror without listings of folders",
        theirs="nothing (code); 35 of 104 entries where one link is missing (run)",
        ours=caseruns.without_listings,
    ),
    Case(
        what="a second run, nothing new: requests",
        theirs="all 165 again, with 100 MB (run)",
        ours=caseruns.warm,
    ),
    Case(
        what="Flatcar: what `uname -r` prints",
        theirs="the version of Flatcar itself, 3185.0.0 (code)",
        ours=caseruns.flatcar_release,
    ),
)


# what the tests need beside what a farm needs (scripts/test)
_TOOLS = ("apt-ftparchive", "dpkg-deb", "gpg", "rpmbuild", str(Path(sys.executable).with_name("createrepo_c")))


def answers(cases: Iterable[Case] = CASES) -> Iterator[tuple[str, str, str]]:
    """Runs the cases: what, theirs, ours."""
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="kmodci-case-") as folder:
            yield case.what, case.theirs, case.ours(Path(folder))


def markdown() -> Iterator[str]:
    """The table of docs/kernel-crawler.md, line by line."""
    yield f"| case | {AS_OF} | kmodci |"
    yield "|---|---|---|"
    for row in answers():
        yield f"| {' | '.join(row)} |"


def measure(*, as_markdown: bool) -> None:
    """Prints the table. Raises KmodciError if a tool that makes repositories is not installed."""
    missing = [Path(tool).name for tool in _TOOLS if not shutil.which(tool)]
    if missing:
        raise KmodciError(
            f"not installed: {', '.join(missing)}", hint="run scripts/test once: it installs what it needs"
        )
    if as_markdown:
        for line in markdown():
            click.echo(line)
    else:
        print_table(("case", AS_OF, "kmodci"), answers())
