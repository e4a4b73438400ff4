# Starts the master: `twistd --nodaemon --python buildbot.tac`, with KMODCI_CONFIG, KMODCI_SCOPE and KMODCI_BASEDIR set.
import os
import sys
from pathlib import Path

from buildbot.master import BuildMaster
from kmodci.bot.database import end_when_lost
from kmodci.bot.journal import json_log
from kmodci.bot.startup import lock_state, mark_active, remember
from kmodci.settings import load
from kmodci.where import buildbot_database
from twisted import logger
from twisted.application import service
from twisted.python.log import FileLogObserver, ILogObserver
from twisted.python.logfile import LogFile

basedir = Path(os.environ["KMODCI_BASEDIR"])

settings = load(Path(os.environ["KMODCI_CONFIG"]))

lock_state(basedir)
remember(settings)
mark_active(settings)
end_when_lost(buildbot_database(settings))
application = service.Application("buildmaster")
if os.environ.get("KMODCI_LOG") == "-":
    # whoever reads it there keeps it, and rotates it
    log = sys.stdout
else:
    log = LogFile.fromFullPath(str(basedir / "twistd.log"), rotateLength=10_000_000, maxRotatedFiles=5)
if settings.log.format == "json":
    application.setComponent(logger.ILogObserver, json_log(log))
else:
    application.setComponent(ILogObserver, FileLogObserver(log).emit)
configfile = str(Path(__file__).resolve().parent / "master.cfg")
BuildMaster(str(basedir), configfile, 0o022).setServiceParent(application)
