"""`kmodci fetch`: a published module, as a node gets it."""

import hashlib
from pathlib import Path

import click

from ..bucket import Bucket
from ..errors import NotFound, StoreError
from ..manifest import IndexEntry, PublishedFile
from ..model import BuildId
from ..publishing import index_entry, latest_entry, versions_of
from ..search import find_build
from ..settings import Settings, load
from ..tarzst import replacing
from ..where import open_bucket
from .completing import complete_builds
from .options import config_option, json_option
from .output import note, print_json
from .remembered import farm_store

_URL_SECONDS = 3600


@click.command()
@click.argument("build_id", shell_complete=complete_builds)
@click.option("--version", default="", metavar="V", help="Of the module [default: the one that the farm built last].")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    metavar="DIR",
    help="Where the files go [default: here].",
)
@click.option("--url", "as_url", is_flag=True, help="Print an address for `curl`, good for an hour, instead.")
@config_option
@json_option
def fetch(build_id: str, version: str, folder: Path, as_url: bool, config: Path, as_json: bool) -> None:
    """Fetch a published module through the index in the bucket, and check its SHA256.

    \b
    kmodci fetch v4l2loopback/debian-bookworm-amd64/6.1.0-56-amd64 --to /tmp
    curl -O "$(kmodci fetch v4l2loopback/debian-bookworm-amd64/6.1.0-56-amd64 --url)"
    """
    settings, wanted = load(config), BuildId.parse(build_id)
    with open_bucket(settings) as bucket:
        entry = _entry(settings, bucket, wanted, version)
        if entry.series != wanted.target.series:
            note(f"built for {entry.distro} {entry.series}, where the kernel release is the same")
        urls = [bucket.presigned(file.key, _URL_SECONDS) for file in entry.files] if as_url else []
        places = [] if as_url else [_fetch(bucket, file, folder) for file in entry.files]
    if as_url and settings.bucket is None:
        note("the embedded S3 server answers there while the farm runs")
    if as_json:
        files = [{"name": file.name, "sha256": file.sha256, "size": file.size} for file in entry.files]
        print_json({"version": entry.version, "files": files, "urls": urls, "written": [str(each) for each in places]})
    else:
        for each in urls or places:
            click.echo(each)


def _entry(settings: Settings, bucket: Bucket, wanted: BuildId, version: str) -> IndexEntry:
    entry = index_entry(bucket, wanted, version) if version else latest_entry(bucket, wanted)
    if entry is not None:
        return entry
    others = [other for other in versions_of(bucket, wanted.module) if index_entry(bucket, wanted, other)]
    if others:
        raise NotFound(
            f"{wanted} is not built{f' in version {version}' if version else ' now'}",
            hint=f"the bucket has it in version {', '.join(others)}: say --version",
        )
    store = farm_store(settings)
    if store is not None and (kernels := store.kernels()):
        find_build(str(wanted), settings.modules, kernels)
    raise StoreError(
        f"{wanted} is not built",
        hint=f"`kmodci explain {wanted}` says why, `kmodci build {wanted}` builds it here and now",
    )


def _fetch(bucket: Bucket, file: PublishedFile, folder: Path) -> Path:
    data = bucket.get(file.key)
    if data is None:
        raise StoreError(f"{file.key} is in the index, but not in the bucket", hint="see `kmodci index rebuild`")
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise StoreError(
            f"{file.key} is damaged: its SHA256 is not {file.sha256}", hint="force its build, with rebuild"
        )
    with replacing(folder / file.name) as place:
        place.write(data)
    return folder / file.name
