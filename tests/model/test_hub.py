import json
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save

from effunet.errors import ModelError
from effunet.model import hub
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.hub import Address, fetch, fetch_optional, is_address, parse
from effunet.model.presets import PRESETS
from effunet.model.pretrained import find, load

COMMIT, LATER, UNKNOWN = "1" * 40, "2" * 40, "3" * 40
TENSORS = {"conv_stem.weight": torch.arange(6.0).reshape(2, 3)}
WEIGHTS = save(TENSORS)
NEWEST = Address("org/name", None, "model.safetensors")
PINNED = Address("org/name", COMMIT, "model.safetensors")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing of this machine's settings."""
    folder = tmp_path / "cache"
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    return folder


@dataclass
class StandIn:
    """What answers in the hub's place on loopback, and what it was asked."""

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)  # (commit, file) -> bytes
    refs: dict[str, str] = field(default_factory=dict)
    fault: tuple[int, dict[str, str]] | None = None  # said to everything
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.fault:
            return *self.fault, b""
        repository, _, rest = path.strip("/").partition("/resolve/")
        ref, _, file = rest.partition("/")
        commit = self.refs.get(ref, ref)
        if repository != "org/name":
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if commit not in {known for known, _ in self.files}:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if (commit, file) not in self.files:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b""
        etag = f'"{commit[0]}{file.replace("/", "-")}"'
        return 200, {"ETag": etag, "X-Repo-Commit": commit}, self.files[commit, file]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    known = StandIn({(COMMIT, "model.safetensors"): WEIGHTS}, {"main": COMMIT, "v1": COMMIT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append(f"{self.command} {self.path}")
            known.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, headers, body = known.answer(self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield known
        server.shutdown()
        thread.join()


@pytest.fixture
def unplugged(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Refuse every connection, and list what was tried."""
    tried: list[object] = []

    def refuse(*words: object, **_: object) -> None:
        tried.append(words)
        raise OSError("this machine is unplugged")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def keep(cache: Path, commit: str, file: str = "model.safetensors", ref: str = "main") -> Path:
    """Lay a file into the cache as huggingface_hub does."""
    folder = cache / "models--org--name"
    path = folder / "snapshots" / commit / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(WEIGHTS)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / ref).write_text(commit)
    return path


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def never(line: str) -> None:
    raise AssertionError(f"nothing was to be said, got {line!r}")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hf://org/name", NEWEST),
        (f"hf://org/name@{COMMIT}", PINNED),
        ("hf://org/name@v1.0", Address("org/name", "v1.0", "model.safetensors")),
        ("hf://org/name@refs/pr/1:a/b.pth", Address("org/name", "refs/pr/1", "a/b.pth")),
        ("hf://org/name@a--b", Address("org/name", "a--b", "model.safetensors")),
        (
            "hf://timm/tf_efficientnet_b0.ns_jft_in1k:pytorch_model.bin",
            Address("timm/tf_efficientnet_b0.ns_jft_in1k", None, "pytorch_model.bin"),
        ),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    assert is_address(text)
    assert parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://name",
        "hf://org/name/more",
        "hf://org/na me",
        "hf://org/a--b",
        "hf://org/name.git",
        f"hf://org/{'n' * 93}",
        "hf://org/name@",
        "hf://org/name:",
        "hf://org/name:README.md",
        "hf://org/name:model.safetensors.py",
        "hf://org/name:/etc/model.bin",
        "hf://org/name:../model.bin",
        "hf://org/name:a/../../model.bin",
        "hf://org/name:a\\model.bin",
        "hf://org/name@../..:model.bin",
        "hf://org/name@/v1",
        "hf://org/name@v1@v2",
        "hf://org/name:model.bin@v1",
        "hf://org/name\n",
    ],
)
def test_a_malformed_address_is_refused_with_the_right_form(text: str) -> None:
    assert is_address(text)
    assert "write hf://org/name, or hf://org/name@revision:file" in refusal(lambda: parse(text))


@pytest.mark.parametrize("text", ["imagenet", "a/b.safetensors", "hf:org/name", "https://x/y.bin"])
def test_what_is_no_address_is_not_taken_for_one(text: str) -> None:
    assert not is_address(text)


def test_what_parse_takes_the_library_takes(served: StandIn) -> None:
    served.refs["refs%2Fpr%2F1"] = COMMIT
    served.files[COMMIT, "a/b.pth"] = b"deep"
    assert fetch(parse("hf://org/name@refs/pr/1:a/b.pth"), never).read_bytes() == b"deep"


def test_a_pinned_file_comes_whole_and_without_a_word(served: StandIn, cache: Path) -> None:
    path = fetch(PINNED, never)
    assert cache in path.parents
    assert torch.equal(load_file(path)["conv_stem.weight"], TENSORS["conv_stem.weight"])


def test_a_pinned_file_is_fetched_once(served: StandIn) -> None:
    path = fetch(PINNED, never)
    asked = len(served.asked)
    assert asked
    assert fetch(PINNED, never) == path
    assert len(served.asked) == asked


def test_a_pinned_file_in_the_cache_touches_no_network(
    cache: Path, unplugged: list[object]
) -> None:
    kept = keep(cache, COMMIT)
    assert fetch(PINNED, never) == kept
    assert not unplugged


def test_another_revision_in_the_cache_does_not_stand_in_for_a_pinned_one(
    cache: Path, unplugged: list[object]
) -> None:
    keep(cache, LATER)
    assert "could not be fetched" in refusal(lambda: fetch(PINNED, never))
    assert unplugged


def test_a_hub_that_gives_another_revision_than_the_pinned_one_is_refused(served: StandIn) -> None:
    served.refs[COMMIT] = LATER
    served.files[LATER, "model.safetensors"] = WEIGHTS
    assert f"another revision, {LATER}" in refusal(lambda: fetch(PINNED, never))


def test_no_revision_is_told_with_the_pin_to_write(served: StandIn) -> None:
    served.files[COMMIT, "a/b.bin"] = b"deep"
    lines: list[str] = []
    fetch(NEWEST, lines.append)
    fetch(parse("hf://org/name:a/b.bin"), lines.append)
    again = "write that to get the same weights again"
    assert lines == [
        f"notice    hf://org/name: no revision named; this is hf://org/name@{COMMIT}: {again}",
        f"notice    hf://org/name:a/b.bin: no revision named; "
        f"this is hf://org/name@{COMMIT}:a/b.bin: {again}",
    ]
    assert parse(f"hf://org/name@{COMMIT}:a/b.bin").pinned


def test_a_tag_is_told_nothing_about(served: StandIn) -> None:
    assert fetch(parse("hf://org/name@v1"), never).read_bytes() == WEIGHTS


def test_a_branch_that_moved_is_followed(served: StandIn, cache: Path) -> None:
    keep(cache, COMMIT)
    served.refs["main"] = LATER
    served.files[LATER, "model.safetensors"] = save({"later": torch.ones(1)})
    lines: list[str] = []
    assert "later" in load_file(fetch(NEWEST, lines.append))
    assert f"this is hf://org/name@{LATER}:" in lines[0]


@pytest.mark.parametrize("revision", [None, "main"])
def test_a_branch_is_taken_from_the_cache_with_a_notice_where_no_hub_answers(
    cache: Path, unplugged: list[object], revision: str | None
) -> None:
    kept = keep(cache, LATER)
    lines: list[str] = []
    assert fetch(Address("org/name", revision, "model.safetensors"), lines.append) == kept
    assert unplugged
    (line,) = lines
    assert line.startswith("notice    hf://org/name")
    assert "not compared with the hub (ConnectError: this machine is unplugged)" in line
    assert line.endswith(f"hf://org/name@{LATER}")


def test_another_branch_in_the_cache_does_not_stand_in(
    cache: Path, unplugged: list[object]
) -> None:
    keep(cache, LATER, ref="other")
    assert "could not be fetched" in refusal(lambda: fetch(NEWEST, never))


def test_a_failing_hub_is_replaced_by_the_cache(served: StandIn, cache: Path) -> None:
    kept = keep(cache, COMMIT)
    served.fault = 503, {}
    lines: list[str] = []
    assert fetch(NEWEST, lines.append) == kept
    assert "503" in lines[0]


def test_a_repository_that_is_gone_is_not_replaced_by_the_cache(
    served: StandIn, cache: Path
) -> None:
    keep(cache, COMMIT)
    served.fault = 404, {"X-Error-Code": "RepoNotFound"}
    assert "no repository org/name" in refusal(lambda: fetch(NEWEST, never))


@pytest.mark.parametrize(("address", "revision"), [(PINNED, COMMIT), (NEWEST, "main")])
def test_without_a_network_the_line_says_what_to_bring_by_hand(
    unplugged: list[object], address: Address, revision: str
) -> None:
    line = refusal(lambda: fetch(address, never))
    assert "this machine is unplugged" in line
    assert f"download model.safetensors of org/name at revision {revision}" in line
    assert f" https://huggingface.co/org/name/resolve/{revision}/model.safetensors," in line
    assert "encoder.weights=PATH" in line


def test_offline_by_wish_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, cache: Path, served: StandIn
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    line = refusal(lambda: fetch(NEWEST, never))
    assert "HF_HUB_OFFLINE is set" in line
    assert "https://huggingface.co/org/name/resolve/main/model.safetensors" in line
    kept = keep(cache, COMMIT)
    lines: list[str] = []
    assert fetch(NEWEST, lines.append) == kept
    assert "HF_HUB_OFFLINE is set" in lines[0]
    assert not served.asked


def test_a_hub_that_never_answers_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        line = refusal(lambda: fetch(PINNED, never))
        assert time.monotonic() - start < 5
    assert "could not be fetched (ReadTimeout" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hf://org/other", "the hub has no repository org/other"),
        (f"hf://org/name@{UNKNOWN}", f"org/name has no revision {UNKNOWN}"),
        ("hf://org/name@v9", "org/name has no revision v9"),
        ("hf://org/name:other.pth", "org/name has no file other.pth at revision main"),
    ],
)
def test_what_the_hub_lacks_is_named(served: StandIn, text: str, said: str) -> None:
    assert said in refusal(lambda: fetch(parse(text), never))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((403, {"X-Error-Code": "GatedRepo"}), "is gated: ask for access at https://hugg"),
        ((401, {"X-Error-Code": "RepoNotFound"}), "or it is private"),
        ((401, {}), "refuses (401)"),
        ((403, {}), "refuses (403)"),
    ],
)
def test_where_a_token_is_needed_the_line_says_so(
    served: StandIn, fault: tuple[int, dict[str, str]], said: str
) -> None:
    served.fault = fault
    line = refusal(lambda: fetch(PINNED, never))
    assert said in line
    assert "HF_TOKEN" in line


def test_a_server_that_is_no_hub_is_said_to_be_none(served: StandIn) -> None:
    served.fault = 200, {}
    assert "X-Repo-Commit" in refusal(lambda: fetch(PINNED, never))


def test_the_token_is_sent(served: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch(PINNED, never)
    assert {headers["authorization"] for headers in served.headers} == {"Bearer hf_secret"}


def test_no_telemetry_no_bars_no_warnings(
    served: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    whole = huggingface_hub.hf_hub_download

    def warns(*words: Any, **options: Any) -> Any:
        warnings.warn("this disk has no symlinks", stacklevel=1)
        assert huggingface_hub.utils.are_progress_bars_disabled()
        return whole(*words, **options)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", warns)
    fetch(PINNED, never)
    assert {request.split()[1] for request in served.asked} == {
        f"/org/name/resolve/{COMMIT}/model.safetensors"
    }
    assert not [headers for headers in served.headers if "torch/" in headers["user-agent"]]
    assert capfd.readouterr() == ("", "")
    # Others in this process find the library as they left it.
    assert constants.HF_HUB_DISABLE_TELEMETRY is False
    assert not huggingface_hub.utils.are_progress_bars_disabled()


def test_a_full_disk_is_no_fault_of_the_hub(
    served: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(PINNED, never)


def test_a_config_lies_beside_the_weights(served: StandIn) -> None:
    served.files[COMMIT, "config.json"] = b"{}"
    weights = fetch(PINNED, never)
    config = fetch_optional(parse(f"hf://org/name@{COMMIT}:config.json"))
    assert config == weights.parent / "config.json"
    assert config.read_bytes() == b"{}"


def test_a_config_is_of_the_revision_that_was_fetched_even_if_the_branch_moves_on(
    served: StandIn,
) -> None:
    served.files[COMMIT, "config.json"] = b"old"
    address = parse("hf://org/name:config.json")
    weights = fetch(NEWEST, print)
    assert fetch_optional(address) == weights.parent / "config.json"
    served.refs["main"] = LATER
    served.files[LATER, "config.json"] = b"new"
    config = fetch_optional(address)
    assert config is not None
    assert config.read_bytes() == b"old"


def test_a_repository_without_a_config_is_asked_for_it_once(served: StandIn) -> None:
    address = parse(f"hf://org/name@{COMMIT}:config.json")
    assert fetch_optional(address) is None
    asked = len(served.asked)
    assert asked
    assert fetch_optional(address) is None
    assert len(served.asked) == asked


def test_a_config_that_cannot_be_had_is_none_and_one_in_the_cache_is_given(
    cache: Path, unplugged: list[object]
) -> None:
    address = parse(f"hf://org/name@{COMMIT}:config.json")
    assert fetch_optional(address) is None
    tried = len(unplugged)
    assert tried
    kept = keep(cache, COMMIT, "config.json")
    assert fetch_optional(address) == kept
    assert len(unplugged) == tried


# Through the door of weights


def test_an_address_gives_weights_with_the_numerics_of_its_config(
    served: StandIn, cache: Path
) -> None:
    state = timm.create_model("efficientnet_b0").state_dict()
    served.files[COMMIT, "model.safetensors"] = save(state)
    facts = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    config = {"architecture": "efficientnet_b0", "pretrained_cfg": facts}
    served.files[COMMIT, "config.json"] = json.dumps(config).encode()
    said: list[str] = []
    weights = find("hf://org/name", notify=said.append)
    assert weights.numerics == Numerics("symmetric", 1e-5, (0.5,) * 3, (0.5,) * 3)
    assert [f"hf://org/name@{COMMIT}" in said[0], "numerics timm, by" in said[1]] == [True, True]
    assert len(said) == 2
    encoder = EfficientNet("b0", numerics=weights.numerics)
    load(encoder, weights)
    assert torch.equal(encoder.get_parameter("stem.conv.weight"), state["conv_stem.weight"])


def test_an_address_without_a_config_says_that_its_names_decide(
    served: StandIn, cache: Path
) -> None:
    state = timm.create_model("tf_efficientnet_b0").state_dict()
    served.files[COMMIT, "tf_efficientnet_b0/model.safetensors"] = save(state)
    said: list[str] = []
    address = f"hf://org/name@{COMMIT}:tf_efficientnet_b0/model.safetensors"
    assert find(address, numerics="tf", notify=said.append).numerics == Numerics()
    assert "no config.json" in said[0] and "as asked for" in said[1]


def test_a_preset_is_its_pinned_file_with_the_numerics_that_it_names(
    served: StandIn, cache: Path
) -> None:
    preset = PRESETS["b0", "noisy-student"]
    state = timm.create_model("tf_efficientnet_b0").state_dict()
    folder = cache / f"models--{preset.repository.replace('/', '--')}" / "snapshots"
    (folder / preset.revision).mkdir(parents=True)
    (folder / preset.revision / preset.file).write_bytes(save(state))
    said: list[str] = []
    assert find("noisy-student", variant="b0", notify=said.append).numerics == Numerics()
    assert len(said) == 1 and said[0].endswith("timm naming, numerics tf, by the preset")
    assert not served.asked
    with pytest.raises(ModelError, match=r"no weights 'imagenet' for the encoder 'phi1\.5'"):
        find("imagenet", variant="phi1.5")
