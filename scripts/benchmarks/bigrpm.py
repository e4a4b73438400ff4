"""A large rpm repository without its packages: createrepo_c writes records of them, as it would of real ones."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import createrepo_c as cr

KERNELS = 60
"""kernel releases in it, each with the packages that a distribution makes of one"""
VARIANTS = {"gz": cr.GZ_COMPRESSION, "zst": cr.ZSTD_COMPRESSION, "sqlite": cr.BZ2_COMPRESSION}
"""how its index may be offered: as XML, or as nothing but a database"""
_PARTS = ("", "-core", "-modules", "-modules-core", "-modules-extra", "-devel", "-devel-matched", "-headers", "-tools")
_WORDS = [
    f"{begin}{end}" for begin in ("ab", "con", "dis", "per", "re", "sub", "trans") for end in ("act", "form", "port")
]
_NEEDED = (("c", 4), ("c", 17), ("c", 34), ("m", 29), ("crypt", 2), ("resolv", 9))


def make(folder: Path, packages: int) -> dict[str, Path]:
    """Repositories of so many packages below a folder, by variant; those that are there stay as they are."""
    made = {variant: folder / f"{packages}-{variant}" for variant in VARIANTS}
    lacking = {variant: path for variant, path in made.items() if not (path / "repodata" / "repomd.xml").exists()}
    for variant, path in lacking.items():
        _make(path / "repodata", variant, packages)
    return made


def _make(folder: Path, variant: str, packages: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    repomd = cr.Repomd()
    repomd.set_revision("1700000000")
    if variant == "sqlite":
        plain = folder / "primary.sqlite"
        database = cr.PrimarySqlite(str(plain))
        for package in _packages(packages):
            database.add_pkg(package)
        database.close()
        record = cr.RepomdRecord("primary_db", str(plain)).compress_and_fill(cr.SHA256, VARIANTS[variant])
        plain.unlink()
    else:
        path = folder / f"primary.xml.{variant}"
        stat = cr.ContentStat(cr.SHA256)
        xml = cr.PrimaryXmlFile(str(path), VARIANTS[variant], stat)
        xml.set_num_of_pkgs(packages)
        for package in _packages(packages):
            xml.add_pkg(package)
        xml.close()
        record = cr.RepomdRecord("primary", str(path))
        record.load_contentstat(stat)
        record.fill(cr.SHA256)
    repomd.set_record(record)
    (folder / "repomd.xml").write_text(repomd.xml_dump())


def _packages(count: int) -> Iterator[cr.Package]:
    """Kernels first and last, and what looks a little like them between."""
    kernels = [(number, part) for number in range(KERNELS) for part in _PARTS]
    for number, part in kernels:
        release = f"{100 + number}.el9"
        made = _package(f"kernel{part}", "5.14.0", release)
        if part == "-devel":
            made.provides = [*made.provides, ("kernel-devel-uname-r", "EQ", "0", "5.14.0", f"{release}.x86_64", False)]
        yield made
    for number in range(count - len(kernels)):
        yield _package(f"lib{number % 977}-devel-{number}", f"1.{number % 40}.{number % 7}", f"{number % 9}.el9")


def _package(name: str, version: str, release: str) -> cr.Package:
    made = cr.Package()
    made.name, made.version, made.release, made.epoch, made.arch = name, version, release, "0", "x86_64"
    file = f"{name}-{version}-{release}.x86_64.rpm"
    made.pkgId, made.checksum_type = hashlib.sha256(file.encode()).hexdigest(), "sha256"
    made.location_href = f"Packages/{name[0]}/{file}"
    # as long as such texts are, and packed as small
    made.summary, made.description = f"All of {name}", " ".join(Random(name).choices(_WORDS, k=60))  # noqa: S311 no secret
    made.url, made.rpm_license = f"https://example.org/{name}", "GPL-2.0-only"
    made.rpm_sourcerpm, made.rpm_group = f"{name}-{version}-{release}.src.rpm", "Unspecified"
    made.rpm_vendor, made.rpm_buildhost, made.rpm_packager = "Example", "build.example.org", "Example"
    made.time_file = made.time_build = 1_700_000_000
    made.size_package, made.size_installed, made.size_archive = 123_456, 654_321, 655_360
    made.rpm_header_start, made.rpm_header_end = 4_504, 23_456
    made.provides = [
        (name, "EQ", "0", version, release, False),
        (f"{name}(x86-64)", "EQ", "0", version, release, False),
        (f"{name}.so.{version[0]}()(64bit)", None, None, None, None, False),
    ]
    made.requires = [
        *((f"lib{letter}.so.6(GLIBC_2.{minor})(64bit)", None, None, None, None, False) for letter, minor in _NEEDED),
        ("rpmlib(CompressedFileNames)", "LE", "0", "3.0.4", "1", True),
    ]
    made.files = [(None, "/usr/bin/", name), (None, "/etc/", f"{name}.conf")]
    return made
