"""How the programs of a test's cluster are started: their command lines, and the files these name."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from support.authority import Authority
from support.nodebox import NodeBox
from support.pauseimage import NAME as PAUSE

NODE = "node"
ADMIN = "admin"
# user -> group; these are names that the API server's own roles are bound to
_USERS = {
    ADMIN: "system:masters",
    "system:kube-scheduler": "",
    "system:kube-controller-manager": "",
    f"system:node:{NODE}": "system:nodes",
}
# in the order of their start; those after the API server need it
PARTS = ("containerd", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")

_CONTAINERD = """
version = 2
root = "{at}/root"
state = "{at}/state"
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{at}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
stream_server_address = "127.0.0.1"
# who is root in a container of somebody else's may not lower a score
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{at}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{registries}"
"""


@dataclass(frozen=True)
class Parts:
    """In a folder, at a box's address, of programs in a folder. isolated: whether pods do not reach this machine."""

    folder: Path
    box: NodeBox
    programs: Path
    isolated: bool

    @cached_property
    def server(self) -> str:
        return f"https://{self.box.address}:6443"

    @property
    def service(self) -> str:
        """By which pods are told that they reach the API server: the first address of those of services."""
        return f"10.216.{self.box.number}.1"

    @cached_property
    def authority(self) -> Authority:
        return Authority(self.folder / "authority", "cluster")

    @cached_property
    def tokens(self) -> Mapping[str, str]:
        return {user: secrets.token_hex(16) for user in _USERS}

    def command(self, name: str) -> list[str]:
        made: list[str] = getattr(self, "_" + name.replace("-", "_"))
        return made

    def kubeconfig(self, user: str) -> Path:
        """A file that says how a user gets to the API server."""
        path = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        made = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "test", "cluster": {"server": self.server, "certificate-authority": str(self.authority.ca)}}
            ],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }
        return self._written(path.name, yaml.safe_dump(made))

    # cached: a program that is started again is to find its files and keys as they were

    @cached_property
    def _etcd(self) -> list[str]:
        # without any login, so where pods that reach the machine do not
        client, peer = (f"http://127.214.{self.box.number}.1:{port}" for port in (2379, 2380))
        return [
            "etcd", f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        ]  # fmt: skip

    @cached_property
    def _kube_apiserver(self) -> list[str]:
        cert, key = self.authority.server("apiserver", self.box.address)
        kubelet_cert, kubelet_key = self.authority.client("apiserver-to-kubelet")
        rows = "".join(f'{self.tokens[user]},{user},{user},"{group}"\n' for user, group in _USERS.items())
        return [
            f"{self.programs}/kube-apiserver",
            f"--etcd-servers=http://127.214.{self.box.number}.1:2379",
            f"--bind-address={self.box.address}", f"--advertise-address={self.box.address}",
            f"--service-cluster-ip-range=10.216.{self.box.number}.0/24",
            f"--tls-cert-file={cert}", f"--tls-private-key-file={key}",
            f"--token-auth-file={self._written('tokens.csv', rows)}",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://cluster.test",
            f"--service-account-key-file={self._accounts[0]}",
            f"--service-account-signing-key-file={self._accounts[1]}",
            "--kubelet-preferred-address-types=InternalIP", f"--kubelet-certificate-authority={self.authority.ca}",
            f"--kubelet-client-certificate={kubelet_cert}", f"--kubelet-client-key={kubelet_key}",
        ]  # fmt: skip

    @cached_property
    def _accounts(self) -> tuple[Path, Path]:
        """What tokens of ServiceAccounts are checked with, and made with."""
        return self.authority.client("accounts")

    @cached_property
    def _kube_controller_manager(self) -> list[str]:
        return [
            f"{self.programs}/kube-controller-manager", "--port=0", "--secure-port=0", "--leader-elect=false",
            f"--kubeconfig={self.kubeconfig('system:kube-controller-manager')}", "--use-service-account-credentials",
            # it starts its controllers one by one, with as many questions as it may ask
            "--kube-api-qps=1000", "--kube-api-burst=1000",
            f"--service-account-private-key-file={self._accounts[1]}", f"--root-ca-file={self.authority.ca}",
        ]  # fmt: skip

    @cached_property
    def _kube_scheduler(self) -> list[str]:
        return [
            f"{self.programs}/kube-scheduler", "--port=0", "--secure-port=0", "--leader-elect=false",
            f"--kubeconfig={self.kubeconfig('system:kube-scheduler')}",
        ]  # fmt: skip

    @property
    def containerd_socket(self) -> Path:
        return self.folder / "containerd.sock"

    @property
    def registries(self) -> Path:
        """A folder `HOST/hosts.toml` each: https://github.com/containerd/containerd/blob/v1.6.20/docs/hosts.md"""
        return self.folder / "registries"

    @cached_property
    def _containerd(self) -> list[str]:
        at = self.folder / "containerd"
        (at / "cni").mkdir(parents=True)
        (at / "cni" / "pods.conflist").write_text(json.dumps(self._pod_network()))
        text = _CONTAINERD.format(at=at, socket=self.containerd_socket, pause=PAUSE, registries=self.registries)
        path = self._written("containerd.toml", text)
        return ["containerd", f"--config={path}"]

    def _pod_network(self) -> dict[str, object]:
        """https://www.cni.dev/plugins/current/main/bridge/ : without a gateway, the machine has no address there."""
        ipam = {
            "type": "host-local",
            "ranges": [[{"subnet": f"10.215.{self.box.number}.0/24"}]],
            "routes": [] if self.isolated else [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": self.box.bridge, "isGateway": not self.isolated, "ipam": ipam}
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}

    @cached_property
    def _kubelet(self) -> list[str]:
        cert, key = self.authority.server("kubelet", self.box.address)
        made = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.box.address,
            "healthzPort": 0,
            "tlsCertFile": str(cert),
            "tlsPrivateKeyFile": str(key),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(self.authority.ca)},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.box.cgroup}",
            "failSwapOn": False,
            # which is how long it takes to be ready
            "nodeStatusUpdateFrequency": "1s",
            "makeIPTablesUtilChains": False,
            "resolvConf": "",
            "volumePluginDir": f"{self.folder}/kubelet/volumeplugins",
            # how full this machine's disk is must not decide whether a test passes
            "evictionHard": {"nodefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
        }
        return [
            f"{self.programs}/kubelet", f"--config={self._written('kubelet.yaml', yaml.safe_dump(made))}",
            f"--kubeconfig={self.kubeconfig(f'system:node:{NODE}')}", f"--root-dir={self.folder}/kubelet",
            f"--hostname-override={NODE}", f"--node-ip={self.box.address}", f"--pod-infra-container-image={PAUSE}",
            "--container-runtime=remote", f"--container-runtime-endpoint=unix://{self.containerd_socket}",
        ]  # fmt: skip

    def _written(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path
