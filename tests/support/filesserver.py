"""`bot.files` on a port of its own: endpoint, bucket and the file with the credentials are its arguments."""

import sys
from ipaddress import ip_network
from pathlib import Path

from kmodci.bot.files import Files
from kmodci.bucket import Bucket
from kmodci.embedded import credentials
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site


def main(endpoint: str, bucket: str, path: str) -> None:
    root = Resource()
    found = Bucket(endpoint, bucket, credentials(Path(path)))
    here = (ip_network("127.0.0.0/8"),)
    root.putChild(b"files", Files(found, at_once=2))
    # one file at once for each, behind a proxy on this machine
    root.putChild(b"each", Files(found, at_once=2, each=1, proxies=here))
    port = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
