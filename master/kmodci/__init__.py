"""kmodci: a build farm for out-of-tree Linux kernel modules, as a Buildbot configuration."""

__version__ = "0.1.0"
