"""Everything that imports Buildbot or Twisted. `config` assembles it; `master.cfg` calls that."""
