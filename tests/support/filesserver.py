"""`bot.files` on a port of its own: endpoint, bucket and the file with the credentials are its arguments."""

import sys
from pathlib import Path

from kmodci.bot.files import Files
from kmodci.bucket import Bucket
from kmodci.embedded import credentials
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site


def main(endpoint: str, bucket: str, path: str) -> None:
    root = Resource()
    root.putChild(b"files", Files(Bucket(endpoint, bucket, credentials(Path(path))), at_once=2))
    port = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
