"""What the URL of a package says of it, where no index does: its name, version and architecture are its file's name.

deb: `name_version_arch.deb` (https://wiki.debian.org/DebianRepository/Format; an epoch is left out, or is `%3a`).
rpm: `name-version-release.arch.rpm`. pacman: `name-version-release-arch.pkg.tar.zst` (or .xz, .gz; PKGBUILD(5)).
"""

import re
from urllib.parse import unquote

from kmodci.release import BadName, check_version

from .base import Listed, arch_of

# What else a URL may hold (user names, queries, fragments, quotes) no mirror of packages needs.
_URL = re.compile(r"(?P<host>https?://[0-9A-Za-z.-]+(?::[0-9]{1,5})?)(?P<path>/[0-9A-Za-z.+~^_%:@,=()/-]{1,1900})")
_NAME = r"(?P<name>[0-9A-Za-z][0-9A-Za-z@._+-]{0,127})"
_ARCH = r"(?P<arch>[0-9a-z][0-9a-z_-]{0,31})"
_FORMS = (
    re.compile(rf"{_NAME}_(?P<version>[^_]+)_{_ARCH}\.deb"),
    re.compile(rf"{_NAME}-(?P<version>[^-]+-[^-]+)\.{_ARCH}\.rpm"),
    re.compile(rf"{_NAME}-(?P<version>[^-]+-[^-]+)-{_ARCH}\.pkg\.tar\.(?:zst|xz|gz)"),
)


def listed_at(url: str, *, sha256: str = "") -> Listed:
    """The package that is there; what it depends on is not known. sha256: hex, where it is known.

    Raises BadName for anything that is not the http or https URL of a package.
    """
    clean = check_package_url(url)
    file = unquote(clean.rpartition("/")[2])
    # a form's parts may hold anything, but what is in them is checked, a `/` that was escaped too
    found = next(filter(None, (form.fullmatch(file) for form in _FORMS)), None)
    if not found or ".." in file:
        raise BadName(f"not the file name of a package: {file[:120]!r}", hint="expected .deb, .rpm or .pkg.tar.zst")
    version = check_version(found["version"], "package version")
    return Listed(
        name=found["name"],
        version=version,
        arch=arch_of(found["arch"]),
        url=clean,
        sha256=sha256,
        # not known either; packages of one version are taken to be of one source
        source_version=version,
    )


def check_package_url(url: str) -> str:
    """The URL without `.` and `..` in its path, as any client asks for it (RFC 3986, 5.2.4). Raises BadName.

    Amazon's lists have them, behind a hash that changes with every update of the repository:
    `.../core/2.0/x86_64/<hash>/../../../../../blobstore/<hash>/kernel-devel-....rpm`.
    """
    found = _URL.fullmatch(url)
    if not found:
        raise BadName(f"not a URL to fetch a package from: {url[:120]!r}", hint="expected http:// or https://")
    *folders, file = found["path"].split("/")[1:]
    kept: list[str] = []
    for folder in folders:
        if folder == "..":
            del kept[-1:]
        elif folder != ".":
            kept.append(folder)
    return "/".join((found["host"], *kept, file))
