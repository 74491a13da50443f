"""An address on the Hugging Face hub -> a file here. Only this module reaches the network.

fetch --(pinned: the cache)--> (the hub) --(not pinned, no answer: the cache)--> a path

The cache, HF_ENDPOINT, HF_HUB_CACHE, HF_HUB_OFFLINE and HF_TOKEN are those of huggingface_hub, so
what other programs fetched is found. It is imported only where a hub is asked.
"""

import os
import re
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from effunet.errors import MISSING_RESOURCE, ModelError

SCHEME = "hf://"
DEFAULT_FILE = "model.safetensors"
DEFAULT_REVISION = "main"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".json")
SITE = "https://huggingface.co"
"""What people are sent to, whatever HF_ENDPOINT says: that may be this machine's alone."""

TIMEOUT = 10.0
"""Seconds that a hub may take to answer."""

NAME = r"\w+(?:[.-]\w+)*"
PATH = r"\w[\w.+-]*(?:/\w[\w.+-]*)*"  # a part ".." would leave the cache, where both are paths
ADDRESS = re.compile(rf"{SCHEME}({NAME}/{NAME})(?:@({PATH}))?(?::({PATH}))?", re.ASCII)
LONGEST = 96  # characters of org/name, as the hub has it
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Address:
    """One file of a model repository."""

    repository: str  # org/name
    revision: str | None  # a commit, tag or branch; None: whatever is newest
    file: str

    @property
    def pinned(self) -> bool:
        """Whether it names a whole commit, and so always the same bytes."""
        return COMMIT.fullmatch(self.revision or "") is not None

    @property
    def page(self) -> str:
        """Where a browser finds the file."""
        revision = self.revision or DEFAULT_REVISION
        return f"{SITE}/{self.repository}/resolve/{revision}/{self.file}"

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        file = f":{self.file}" if self.file != DEFAULT_FILE else ""
        return f"{SCHEME}{self.repository}{revision}{file}"


class Unreachable(ModelError):
    """The hub gave no answer, or none of use: a cached file may stand in."""

    def __init__(self, address: Address, why: str) -> None:
        revision = address.revision or DEFAULT_REVISION
        super().__init__(
            f"{address}: could not be fetched ({why}): on another machine download "
            f"{address.file} of {address.repository} at revision {revision} from "
            f"{address.page}, and give it here as encoder.weights=PATH"
        )
        self.why = why


def is_address(text: str) -> bool:
    """Tell whether a text is meant as an address, well formed or not."""
    return text.startswith(SCHEME)


def parse(text: str) -> Address:
    """Read `hf://org/name[@revision][:file]`.

    Raises:
        ModelError: it has another form, or names a file that holds no weights.
    """
    match = ADDRESS.fullmatch(text)
    repository, revision, file = match.groups() if match else ("", None, None)
    file = file or DEFAULT_FILE
    if (
        not 0 < len(repository) <= LONGEST
        or repository.endswith(".git")
        or not file.lower().endswith(SUFFIXES)
    ):
        raise ModelError(
            f"{text!r} is no address of weights on the hub: write hf://org/name, or "
            f"hf://org/name@revision:file with a relative file ending in {', '.join(SUFFIXES)}"
        )
    return Address(repository, revision, file)


def fetch(address: Address, notify: Callable[[str], None] = print) -> Path:
    """Give the file on this machine, fetched if need be.

    A whole commit that lies in the cache is used without asking. Any other revision may have moved,
    so the hub is asked, and only if it does not answer the last one fetched is used.

    Args:
        address: what to fetch.
        notify: takes one line that pins an address without a revision, or says that what is used
            could not be compared with the hub.

    Raises:
        ModelError: there is no such file, or it can be had neither from the hub nor from the cache.
    """
    if address.pinned and (kept := _kept(address)):
        return kept
    try:
        path = _download(address)
    except Unreachable as fault:
        kept = _kept(address)
        if not kept:
            raise
        notify(
            f"notice    {address}: not compared with the hub ({fault.why}); "
            f"this is what it last gave here, {_pin(address, kept)}"
        )
        return kept
    pin = _pin(address, path)
    if address.pinned and pin != address:
        raise ModelError(f"{address}: HF_ENDPOINT gave another revision, {pin.revision}")
    if address.revision is None:
        notify(
            f"notice    {address}: no revision named; this is {pin}: "
            "write that to get the same weights again"
        )
    return path


def fetch_optional(address: Address) -> Path | None:
    """Give a file beside one just fetched, or None if there is none or it cannot be had.

    The cache comes first: there a branch is still the commit that `fetch` has taken.
    """
    found = _look_up(address)
    if found is not None:
        return Path(found) if isinstance(found, str) else None
    try:
        return _download(address)
    except ModelError:
        return None


def _pin(address: Address, path: Path) -> Address:
    """The address with the commit that a file of the cache is from: snapshots/COMMIT/FILE."""
    commit = path.parents[address.file.count("/")].name
    return replace(address, revision=commit)


def _kept(address: Address) -> Path | None:
    found = _look_up(address)
    return Path(found) if isinstance(found, str) else None


def _look_up(address: Address) -> object:
    """The file in the cache; None if unknown, any other thing if known not to exist.

    hf_hub_download(local_files_only=True) would ask the hub for a list of AI agents.
    """
    from huggingface_hub import try_to_load_from_cache

    return try_to_load_from_cache(
        address.repository, address.file, cache_dir=_cache(), revision=address.revision
    )


def _download(address: Address) -> Path:
    """Bring the file and the ref to the hub's state."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    if constants.HF_HUB_OFFLINE or _is_true(os.environ.get("HF_HUB_OFFLINE", "")):
        raise Unreachable(address, "HF_HUB_OFFLINE is set")
    repository, file, revision = address.repository, address.file, address.revision
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT
    url = hf_hub_url(repository, file, revision=revision, endpoint=endpoint)
    try:
        with _quiet():
            # hf_hub_download retries for minutes where nothing answers, so this asks first, once.
            # Of a file that is not there it keeps a note, and the next time nothing is asked.
            with suppress(EntryNotFoundError):
                get_hf_file_metadata(url, timeout=TIMEOUT, endpoint=endpoint)
            path = hf_hub_download(
                repository,
                file,
                revision=revision,
                cache_dir=_cache(),
                endpoint=endpoint,
                etag_timeout=TIMEOUT,
            )
    except Exception as fault:  # its HTTP library and so its exceptions change with its version
        if isinstance(fault, OSError) and fault.errno in MISSING_RESOURCE:
            raise
        raise _refusal(address, fault) from fault
    return Path(path)


def _refusal(address: Address, fault: Exception) -> ModelError:
    """What the library raised, as a line; the more special of its classes come first."""
    from huggingface_hub import errors

    repository, revision = address.repository, address.revision or DEFAULT_REVISION
    status = getattr(getattr(fault, "response", None), "status_code", None)
    match fault:
        case errors.LocalEntryNotFoundError():  # the hub was silent, its cause says why
            return Unreachable(address, _line(fault.__cause__ or fault))
        case errors.GatedRepoError():
            return ModelError(
                f"{address}: {repository} is gated: ask for access at {SITE}/{repository}, "
                "then set HF_TOKEN"
            )
        case errors.RepositoryNotFoundError():
            return ModelError(
                f"{address}: the hub has no repository {repository}, or it is private: "
                "check the name, or set HF_TOKEN"
            )
        case errors.RevisionNotFoundError():
            return ModelError(f"{address}: {repository} has no revision {revision}: check it")
        case errors.EntryNotFoundError():
            return ModelError(
                f"{address}: {repository} has no file {address.file} at revision {revision}: "
                f"see {SITE}/{repository}/tree/{revision}"
            )
        case _ if status in (401, 403):
            return ModelError(f"{address}: the hub refuses ({status}): check HF_TOKEN")
        case _:
            return Unreachable(address, _line(fault))


@contextmanager
def _quiet() -> Generator[None]:
    """Let the library show no bars and no warnings, and send no telemetry."""
    from huggingface_hub import constants
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    telemetry_off, bars_off = constants.HF_HUB_DISABLE_TELEMETRY, are_progress_bars_disabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The variable of this name is read when the library is imported, which timm may have done.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        disable_progress_bars()
        try:
            yield
        finally:
            constants.HF_HUB_DISABLE_TELEMETRY = telemetry_off
            if not bars_off:
                enable_progress_bars()


def _cache() -> Path:
    from huggingface_hub import constants

    named = os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE
    return Path(os.path.expandvars(named)).expanduser()


def _is_true(value: str) -> bool:
    return value.upper() in ("1", "ON", "YES", "TRUE")


def _line(fault: BaseException) -> str:
    text = str(fault).strip().split("\n", 1)[0][:250]
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__
