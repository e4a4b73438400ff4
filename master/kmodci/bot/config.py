"""Assembles the Buildbot configuration of a farm. `master.cfg` does nothing but call this."""

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path

from buildbot.config import BuilderConfig
from buildbot.config.errors import ConfigErrors
from buildbot.locks import LockAccess, MasterLock
from buildbot.process.buildrequestdistributor import BuildRequestDistributor
from buildbot.process.factory import BuildFactory
from buildbot.process.properties import Properties, renderer
from buildbot.worker.local import LocalWorker
from twisted.internet import reactor

from ..errors import KmodciError, SettingsError
from ..farm import Farm
from ..notifyfile import addressees
from ..opening import open_farm
from ..users import Users
from ..where import buildbot_database
from .board import BoardKeeper
from .build import KernelBuild
from .builders import build_steps, image_steps
from .containers import ContainerWorker
from .database import engine_arguments
from .force import KernelForce
from .frontpage import NoAvatar, guard_interface
from .gc import gc_builder, gc_schedulers, janitor
from .guard import guard
from .hosts import HostWatch, NextWorker
from .index import IndexWriter
from .login.rules import FORCE, Rules
from .login.ways import auth_of
from .menu import MENU, PLUGIN
from .notifier import Notifier
from .podworkers import PodWorker
from .pollers import ModulePoller, RepositoryPoller
from .prefetch import Prefetch
from .queue import BoundedChooser, prioritize_builders
from .remember import MemoryKeeper
from .reports import reporter_of
from .schedulers import MATRIX, MatrixScheduler
from .site import Site
from .sweeper import Sweeper
from .virtual import VirtualBuilders
from .watchdog import Watchdog
from .web import answer_from_the_reactor, close_event_stream, open_own_api
from .workerport import guard_worker_port

LOCAL_WORKER = "master"
IMAGES = "images"


def buildbot_config(config_dir: Path, scope: str, modules: tuple[str, ...] = ()) -> dict[str, object]:
    """The dictionary that Buildbot wants. Raises ConfigErrors with every mistake of the YAML files.

    A running master that is told to reconfigure keeps its old configuration then.
    """
    try:
        farm = open_farm(config_dir, scope=scope, modules=modules)
        settings, users = farm.settings, Users(farm.settings.users_file)
        auth = auth_of(settings, users)
        address, receivers = farm.settings.web.address, addressees(farm.settings.notify)
        reporters = [reporter_of(name, receiver, address) for name, receiver in receivers.items()]
    except SettingsError as error:
        raise ConfigErrors(list(error.problems)) from None
    except KmodciError as error:
        raise ConfigErrors([str(error)]) from None
    BuildRequestDistributor.BuildChooser = BoundedChooser
    close_event_stream()
    answer_from_the_reactor()
    open_own_api()
    guard_interface()
    guard_worker_port()
    guard(settings.web)
    # each container start, stop and check, each step's work on the master, takes a thread for its time
    reactor.suggestThreadPoolSize(4 * farm.slots + 16)
    web, database = farm.settings.web, buildbot_database(farm.settings)
    toolchains = sorted(farm.recipes)
    workers = [
        (PodWorker if farm.engines.hosts[host].cluster else ContainerWorker)(f"{host}-{n}", None, farm=farm, host=host)
        for host in farm.engines
        for n in range(1, farm.workers(host) + 1)
    ]
    return {
        "title": "kmodci",
        "titleURL": web.address,
        "buildbotURL": web.address,
        # nothing of a farm is told to anybody
        "buildbotNetUsageData": None,
        "db": {"db_url": database, "engine_kwargs": engine_arguments(database)},
        "protocols": {"pb": {"port": f"unix:{farm.paths.socket('pb.sock')}:mode=666"}},
        "workers": [*workers, LocalWorker(LOCAL_WORKER, max_builds=2)],
        "builders": list(_builders(farm, toolchains, [worker.name for worker in workers])),
        "change_source": [
            *(RepositoryPoller(name, farm) for name in farm.watch.repositories),
            *(ModulePoller(name, farm) for name in farm.planner.polled_modules),
        ],
        "schedulers": [
            MatrixScheduler(name=MATRIX, builderNames=[*toolchains, IMAGES], farm=farm),
            KernelForce(name=FORCE, builderNames=toolchains, farm=farm),
            *gc_schedulers(),
        ],
        "services": [
            VirtualBuilders(),
            IndexWriter(farm),
            MemoryKeeper(farm),
            Prefetch(farm),
            HostWatch(farm),
            Sweeper(farm),
            Watchdog(),
            BoardKeeper(farm),
            Site(farm),
            Notifier(farm),
            *reporters,
        ],
        # counts are kept for whoever asks, and written to the log now and then; the process's own are in /proc
        "metrics": {"log_interval": 300, "periodic_interval": 0},
        "prioritizeBuilders": prioritize_builders,
        # the default merges waiting requests of one builder, and so loses kernels without a word
        "collapseRequests": False,
        "logCompressionMethod": "zstd",
        "www": {
            "port": f"tcp:{web.port}:interface={web.host}",
            "auth": auth,
            "authz": Rules(settings.login, users),
            "cookie_expiration_time": timedelta(seconds=settings.login.session),
            "avatar_methods": NoAvatar(),
            "plugins": {PLUGIN: MENU},
        },
        "configurators": [janitor(farm)],
    }


def _builders(farm: Farm, toolchains: Iterable[str], sandboxes: list[str]) -> Iterable[BuilderConfig]:
    # more sandboxes than may compile: while these do, the others start, are judged, publish and end
    locks = {host: MasterLock(f"compile-{host}", maxCount=farm.compiles(host)) for host in farm.engines}

    @renderer
    def compiling(properties: Properties) -> list[LockAccess]:
        return [locks[properties.getBuild().host].access("counting")]

    next_worker = NextWorker(farm)
    for toolchain in toolchains:
        factory = BuildFactory(build_steps(compiling))
        factory.buildClass = partial(KernelBuild, farm)
        yield BuilderConfig(
            name=toolchain,
            description=f"builds with {toolchain}; each kernel has a builder of its own beside this one",
            workernames=sandboxes,
            factory=factory,
            nextWorker=next_worker,
            tags=["toolchain"],
        )
    yield BuilderConfig(
        name=IMAGES,
        description="builds the toolchain images",
        workernames=[LOCAL_WORKER],
        factory=BuildFactory(image_steps(farm)),
        tags=["images"],
    )
    yield gc_builder(farm, LOCAL_WORKER)
