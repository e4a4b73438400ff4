# Starts the master: `twistd --nodaemon --python buildbot.tac`, with KMODCI_CONFIG, KMODCI_SCOPE and KMODCI_BASEDIR set.
import fcntl
import os
import sys
from pathlib import Path

from buildbot.master import BuildMaster
from kmodci.bot.startup import mark_active
from kmodci.settings import load
from twisted.application import service
from twisted.python.log import FileLogObserver, ILogObserver
from twisted.python.logfile import LogFile

basedir = Path(os.environ["KMODCI_BASEDIR"])

# Held while this process lives, however it ends: a second master on the same state would build everything twice.
lock = (basedir / "lock").open("a")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(f"another master is running on {basedir}: stop it first")

mark_active(load(Path(os.environ["KMODCI_CONFIG"])))
application = service.Application("buildmaster")
log = LogFile.fromFullPath(str(basedir / "twistd.log"), rotateLength=10_000_000, maxRotatedFiles=5)
application.setComponent(ILogObserver, FileLogObserver(log).emit)
BuildMaster(str(basedir), str(Path(__file__).resolve().parent / "master.cfg"), 0o022).setServiceParent(application)
