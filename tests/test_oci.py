"""Images as registries have them: what is named by a digest, and by which."""

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmodci.oci import CONFIG, LAYER, MANIFEST, Layer, digest_of, image, is_digest

BASE = Layer(digest=f"sha256:{'a' * 64}", size=80_000_000, diff_id=f"sha256:{'b' * 64}")
WORKER = Layer(digest=f"sha256:{'c' * 64}", size=31_000_000, diff_id=f"sha256:{'d' * 64}")


def test_a_manifest_names_its_configuration_and_its_layers_from_the_lowest() -> None:
    made = image("amd64", [BASE, WORKER])
    told = json.loads(made.manifest)
    assert (told["schemaVersion"], told["mediaType"]) == (2, MANIFEST)
    assert told["config"] == {
        "mediaType": CONFIG,
        "digest": f"sha256:{hashlib.sha256(made.config).hexdigest()}",
        "size": len(made.config),
    }
    assert told["layers"] == [
        {"mediaType": LAYER, "digest": BASE.digest, "size": 80_000_000},
        {"mediaType": LAYER, "digest": WORKER.digest, "size": 31_000_000},
    ]
    assert made.digest == f"sha256:{hashlib.sha256(made.manifest).hexdigest()}"


def test_a_configuration_names_what_is_in_the_layers_and_for_whom() -> None:
    told = json.loads(image("arm64", [BASE, WORKER]).config)
    assert (told["architecture"], told["os"]) == ("arm64", "linux")
    assert told["rootfs"] == {"type": "layers", "diff_ids": [BASE.diff_id, WORKER.diff_id]}
    assert told["config"]["Env"][0].startswith("PATH=")


def test_the_same_is_the_same_to_the_byte_and_anything_else_is_not() -> None:
    made = image("amd64", [BASE, WORKER])
    assert made == image("amd64", (BASE, WORKER))
    others = [
        image("arm64", [BASE, WORKER]),
        image("amd64", [WORKER, BASE]),
        image("amd64", [BASE]),
        image("amd64", [replace(BASE, size=1), WORKER]),
        image("amd64", [BASE, replace(WORKER, diff_id=BASE.diff_id)]),
    ]
    assert len({made.digest, *(other.digest for other in others)}) == 6


@given(st.text())
def test_a_note_of_a_layer_is_read_as_it_was_written_or_not_at_all(text: str) -> None:
    assert Layer.from_json(BASE.to_json()) == BASE
    assert Layer.from_json(text) is None


@pytest.mark.parametrize(
    "change", [{"digest": "sha256:../../../etc/passwd"}, {"diff_id": "x"}, {"size": "many"}, {"size": None}]
)
def test_a_note_that_does_not_name_a_layer(change: dict[str, object]) -> None:
    assert Layer.from_json(json.dumps({**json.loads(BASE.to_json()), **change})) is None
    assert Layer.from_json(json.dumps(list(change))) is None


@pytest.mark.parametrize(
    "text",
    ["", "sha256:", "a" * 64, f"sha256:{'a' * 63}", f"sha256:{'A' * 64}", f"sha256:{'a' * 64}\n", f"sha512:{'a' * 64}"],
)
def test_what_is_no_digest(text: str) -> None:
    assert not is_digest(text)
    assert is_digest(digest_of(text.encode()))
