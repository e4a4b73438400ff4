"""Opens a farm: everything that the configuration names, connected."""

from pathlib import Path
from urllib.parse import urlsplit

from .acceptance import Acceptances
from .bootstrap import bootstrap
from .caches import Caches
from .downloads import Downloads
from .engines import engines_of
from .fallover import FallOver
from .farm import Farm
from .fetch import Fetcher
from .history import History
from .imagemaker import Remote
from .imagesupply import ImageSupply
from .ingredients import Ingredients
from .paths import Paths
from .planning import Planner
from .preparing import Preparing
from .products import publisher_of
from .registry import Registry
from .runstore import RunStore
from .settings import load
from .store import Store
from .supply import Supply
from .watch import Watch
from .where import bucket_of, images_of, limits_of, packages, recipes_of, repositories, suites_of, trusted
from .workerbundles import WorkerBundles


def open_farm(config_dir: Path, *, scope: str = "", modules: tuple[str, ...] = ()) -> Farm:
    """Opens all that the configuration names; makes the tables and folders that are missing.

    scope: a name of kmodci.yml; modules: patterns, instead of the scope's own.
    Raises SettingsError for mistakes, other KmodciErrors for what cannot be opened.
    """
    settings = load(config_dir)
    wanted = settings.find_scope(scope)
    if modules:
        wanted = wanted.model_copy(update={"modules": modules})
    paths = Paths(settings.state)
    paths.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(settings.database_url)
    store.create()
    bucket = bucket_of(settings)
    hosts = {name: host.host(name) for name, host in settings.build_hosts.items()}
    engines = engines_of(hosts, paths.farm_id())
    recipes, bundles = recipes_of(settings), WorkerBundles(settings, paths.workers)
    images = images_of(settings, recipes)
    fetcher, followed = Fetcher(), repositories(settings, wanted)
    fallover = FallOver(repository.mirrors for repository in followed.values())
    watch = Watch(
        settings=settings,
        store=store,
        fetcher=fetcher,
        repositories=followed,
        packages=packages(settings, wanted),
        acceptances=Acceptances(paths.accepted),
        fallover=fallover,
    )
    downloads = Downloads(fetcher, fallover)
    caches = Caches(paths, settings.retention.cache)
    supply = Supply(
        paths=paths,
        store=store,
        bucket=bucket,
        downloads=downloads,
        images=ImageSupply(
            paths=paths,
            store=store,
            bucket=bucket,
            engines=engines,
            recipes=recipes,
            suites=lambda made: suites_of(settings, made),
            bootstrap=Remote(Path(urlsplit(settings.images).path)) if settings.images else bootstrap,
        ),
        ingredients=Ingredients(
            downloads=downloads, store=store, tarballs=paths.cache("tarballs"), trust=trusted(settings)
        ),
        preparing=Preparing(paths=paths, bundle=bundles.made, limits=limits_of(settings)),
        caches=caches,
    )
    runs = RunStore(store)
    planner = Planner(
        settings=settings,
        scope=wanted,
        store=store,
        runs=runs,
        engines=engines,
        watch=watch,
        recipes=recipes,
        images=images,
        bundles=bundles,
    )
    return Farm(
        settings=settings,
        scope=wanted,
        paths=paths,
        store=store,
        bucket=bucket,
        engines=engines,
        supply=supply,
        publisher=publisher_of(bucket),
        watch=watch,
        recipes=recipes,
        images=images,
        bundles=bundles,
        registry=Registry(paths=paths, store=store, bucket=bucket, bundles=bundles, caches=caches, images=images),
        runs=runs,
        history=History(store),
        planner=planner,
    )
