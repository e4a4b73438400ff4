"""A real Kubernetes cluster of a test's own, for as long as that runs: one node, on this machine."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
import yaml
from support.clusterparts import ADMIN, NODE, PARTS, Parts
from support.farm import until
from support.kubernetes import programs
from support.nodebox import NodeBox
from support.pauseimage import write_pause_image


class Cluster:
    """`with Cluster() as cluster:`; `cluster.server`, `cluster.ca`, `cluster.token(...)`. Needs root.

    Its programs are real, of one version. There is no DNS and no proxy for services: a pod reaches the API server at
    `cluster.server`, if it reaches anything at all.
    """

    def __init__(self, *, isolated: bool = True) -> None:
        """isolated: this machine does not answer pods, and there is no way from them to elsewhere.

        This stands for a NetworkPolicy that denies everything: the network plugins that are used here enforce none.
        """
        compiled = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="kmodci-kube-", dir="/tmp"))
        self._box = NodeBox(self.folder / "box")
        self._parts = Parts(self.folder, self._box, compiled, isolated)
        self.address = self._box.address
        """of the node and the API server; only this machine has it"""
        self.server = self._parts.server
        self.ca = self._parts.authority.ca
        self.admin_token = self._parts.tokens[ADMIN]
        self.kubeconfig = self._parts.kubeconfig(ADMIN)
        """a file, for `kubectl` by hand"""

    def token(self, namespace: str, account: str) -> str:
        """A new one of a ServiceAccount, valid for a day."""
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
        made = self.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", asked)
        token: str = made["status"]["token"]
        return token

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """What the API answers to the administrator. Raises requests.RequestException."""
        answer = self._asked(method, path, body)
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code}: {answer.text}", response=answer)
        return answer.json()

    def _asked(self, method: str, path: str, body: Mapping[str, object] | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        return requests.request(method, self.server + path, json=body, headers=headers, verify=str(self.ca), timeout=30)

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """What it prints. given: its standard input."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder}/kubectl", *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, documents: str) -> None:
        """Makes or changes all objects of a YAML text; returns when pods can be made in its namespaces."""
        self.kubectl("apply", "--filename=-", given=documents)
        for each in yaml.safe_load_all(documents):
            if each and each["kind"] == "Namespace":
                until(lambda name=each["metadata"]["name"]: self._takes_pods(name), told=self.told)

    def _takes_pods(self, namespace: str) -> bool:
        """Controllers have made what pods need: an account, and the state of each quota."""
        at = f"/api/v1/namespaces/{namespace}"
        quotas = self.ask("GET", f"{at}/resourcequotas")["items"]
        accounts = {each["metadata"]["name"] for each in self.ask("GET", f"{at}/serviceaccounts")["items"]}
        return "default" in accounts and all(each["status"].get("hard") == each["spec"].get("hard") for each in quotas)

    def registry(self, host: str, url: str) -> None:
        """Has the node take images named `host/...` from a URL, which may be `http://`, and from nowhere else."""
        place = self._parts.registries / host
        place.mkdir(parents=True, exist_ok=True)
        text = f'server = "{url}"\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\n'
        (place / "hosts.toml").write_text(text)

    def has_image(self, archive: Path) -> None:
        """Gives the node the images of an archive, as `docker save` writes them."""
        self.ctr("images", "import", str(archive))

    def ctr(self, *arguments: str) -> str:
        """Asks the node's containerd, of which pods' containers and images are; what it prints."""
        done = self._containerd(*arguments)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr} {self.told()}"
        return done.stdout

    def _containerd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["ctr", f"--address={self._parts.containerd_socket}", "--namespace=k8s.io", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def told(self) -> str:
        """The end of each program's log."""
        logs = sorted((self.folder / "logs").iterdir())
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in logs)

    def kill(self, part: str) -> None:
        """At once, as if its machine had lost its power. part: `kube-apiserver`, `kubelet`, ..."""
        self._box.kill(part)

    def start(self, part: str) -> None:
        """Once more, after it was killed; returns at once. `wait` waits until all is well."""
        self._box.start(part, self._parts.command(part), self.folder / "logs" / part)

    @contextmanager
    def without(self, part: str) -> Iterator[None]:
        """It is killed before this block, and started again after it."""
        self.kill(part)
        try:
            yield
        finally:
            self.start(part)
            self.wait()

    @contextmanager
    def answering_pods(self) -> Iterator[None]:
        """For this block, something answers where pods are told that the API server is: no proxy for services does."""
        self._box.has(self._parts.service)
        with socket.create_server((self._parts.service, 443)):
            yield

    def wait(self) -> None:
        """Returns when the API answers, and the node takes pods."""
        until(lambda: self._says_ok("/readyz"), told=self.told)
        until(lambda: self._containerd("version").returncode == 0, told=self.told)
        until(self._node_ready, told=self.told)
        # which is what the API server remembers of it, also for a while after its end
        until(lambda: self._says_ok(f"/api/v1/nodes/{NODE}/proxy/healthz"), told=self.told)

    def _says_ok(self, path: str) -> bool:
        assert not self._box.ended(), f"ended: {self._box.ended()}: {self.told()}"
        try:
            return self._asked("GET", path).text == "ok"
        except requests.RequestException:
            return False

    def _node_ready(self) -> bool:
        for node in self.ask("GET", "/api/v1/nodes")["items"]:
            conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
            return conditions.get("Ready") == "True" and not node["spec"].get("taints")
        return False

    def __enter__(self) -> Self:
        try:
            (self.folder / "logs").mkdir()
            self._box.open()
            for part in PARTS[:3]:
                self.start(part)
            # on a machine that has much to do the controllers would give up before it answers
            until(lambda: self._says_ok("/readyz"), told=self.told)
            for part in PARTS[3:]:
                self.start(part)
            until(lambda: self._containerd("version").returncode == 0, told=self.told)
            write_pause_image(self._parts.programs / "pause", self.folder / "pause.tar")
            self.has_image(self.folder / "pause.tar")
            self.wait()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._box.close()
        shutil.rmtree(self.folder)
