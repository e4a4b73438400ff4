"""Two build hosts, one of which is away."""

from kmodci.hosts import Answer, Host, HostState

HOSTS = {
    "near": Host(
        name="near", docker_host="unix:///s", same_machine=True, arches=frozenset({"amd64"}), cross=frozenset({"arm64"})
    ),
    "far": Host(
        name="far",
        docker_host="ssh://secret-user@far.example.com",
        same_machine=False,
        arches=frozenset({"amd64"}),
        labels=frozenset({"fast"}),
    ),
}
WELL = HostState().answer(Answer(images=frozenset({"kmodci/a:1", "debian:12"}), version="29.0"), 100)
STATES = {
    "near": WELL,
    "far": WELL.fail("Docker engine ssh://secret-user@far.example.com: ask how it is: <refused>", 130),
}
