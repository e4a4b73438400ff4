"""The tables of the farm, for `store`. Their names begin with kmodci_: Buildbot's own may live beside them."""

import sqlalchemy as sa

METADATA = sa.MetaData()
REPOSITORIES = sa.Table(
    "kmodci_repositories",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("dated", sa.Float, nullable=False),
    sa.Column("last_ok", sa.Float, nullable=False),
    sa.Column("last_try", sa.Float, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("problems", sa.JSON, nullable=False),
    sa.Column("hint", sa.Text, nullable=False, server_default=""),
    # NULL as a rule
    sa.Column("doubt", sa.JSON(none_as_null=True)),
    sa.Column("mirror_faults", sa.JSON, nullable=False, server_default="[]"),
)
# One row per repository that lists a kernel, or did: while another one still does, a kernel has not gone.
KERNELS = sa.Table(
    "kmodci_kernels",
    METADATA,
    sa.Column("repository", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("release", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("flavour", sa.Text, nullable=False),
    sa.Column("toolchain", sa.Text, nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False, server_default="package"),
    # when it was first missed; 0 while it is listed
    sa.Column("gone", sa.Float, nullable=False, server_default="0"),
    sa.Column("native", sa.JSON, nullable=False, server_default="[]"),
)
# What packages hold that were read with an index, compressed: a kernel's configuration has 300 KB.
CONTENTS = sa.Table(
    "kmodci_contents",
    METADATA,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
MODULES = sa.Table(
    "kmodci_modules",
    METADATA,
    sa.Column("module", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("fetch", sa.JSON, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)
OUTCOMES = sa.Table(
    "kmodci_outcomes",
    METADATA,
    sa.Column("build_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("module_version", sa.Text, nullable=False),
    sa.Column("kernel_version", sa.Text, nullable=False),
    sa.Column("finished", sa.Float, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("make_seconds", sa.Float, nullable=False),
    sa.Column("build_url", sa.Text, nullable=False),
    sa.Column("manifest", sa.Text, nullable=False),
    sa.Column("image", sa.Text, nullable=False, server_default=""),
)
HOLDS = sa.Table(
    "kmodci_holds",
    METADATA,
    sa.Column("build_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("noted", sa.Float, nullable=False),
    # NULL is for ever
    sa.Column("until", sa.Float),
)
RUNS = sa.Table(
    "kmodci_runs",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("finished", sa.Float, nullable=False),
    sa.Column("cancelled", sa.Text, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
)
RUN_ENTRIES = sa.Table(
    "kmodci_run_entries",
    METADATA,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("build_id", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("chunk", sa.Integer, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("outcome_before", sa.Float, nullable=False, server_default="0"),
    sa.Column("hold_before", sa.Float, nullable=False, server_default="0"),
    sa.Column("ending", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("finished", sa.Float, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("make_seconds", sa.Float, nullable=False),
    sa.Column("build_url", sa.Text, nullable=False),
)
# When a kernel, or new packages of one, was first seen in an index that had been read before.
APPEARANCES = sa.Table(
    "kmodci_appearances",
    METADATA,
    sa.Column("kernel", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("appeared", sa.Float, nullable=False),
)
# When its module was first built after that.
ARRIVALS = sa.Table(
    "kmodci_arrivals",
    METADATA,
    sa.Column("build_id", sa.Text, primary_key=True),
    sa.Column("kernel_version", sa.Text, primary_key=True),
    sa.Column("appeared", sa.Float, nullable=False),
    sa.Column("built", sa.Float, nullable=False),
)
# How many builds of a module had which status, at the end of an hour.
TALLIES = sa.Table(
    "kmodci_tallies",
    METADATA,
    sa.Column("hour", sa.Float, primary_key=True),
    sa.Column("module", sa.Text, primary_key=True),
    sa.Column("built", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("unavailable", sa.Integer, nullable=False),
    sa.Column("skipped", sa.Integer, nullable=False),
    sa.Column("pending", sa.Integer, nullable=False),
)
META = sa.Table(
    "kmodci_meta",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
# What is told to receivers (`newsdesk`): the groups of failures that are known, ...
NEWS_GROUPS = sa.Table(
    "kmodci_news_groups",
    METADATA,
    sa.Column("module", sa.Text, primary_key=True),
    sa.Column("cause", sa.Text, primary_key=True),
    sa.Column("seen", sa.Float, nullable=False),
    sa.Column("told", sa.Float, nullable=False),
    sa.Column("mended", sa.Float, nullable=False),
    sa.Column("builds", sa.JSON, nullable=False),
)
# ... the runs whose end has been told, or is not worth it, ...
NEWS_RUNS = sa.Table("kmodci_news_runs", METADATA, sa.Column("run", sa.Text, primary_key=True))
# ... and what is on its way to one of them.
NEWS_LETTERS = sa.Table(
    "kmodci_news_letters",
    METADATA,
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("written", sa.Float, nullable=False),
    sa.Column("news", sa.JSON, nullable=False),
)
