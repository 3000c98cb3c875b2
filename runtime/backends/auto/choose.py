"""``--backend auto``: the fastest installed backend that gives the right masks.

:mod:`.trial` measures it once. The choice stays in the user's own cache while the graphs, the installed packages, the
machine and the number of threads stay the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ....core.callbacks import OnMessage
from ....core.errors import BackendError, BundleError, OutputError
from ...bundle import Bundle
from ...cache import Kind, Store, key_of_fields
from ...cpu import cpu_identity, usable_cpus
from .. import backend_class, names
from ..onnxruntime import OnnxRuntimeBackend
from .trial import Candidate, measure

_CHOICES = Kind("choice", "choices", danger="what lies there decides what runs", key_of=key_of_fields)
_FORM = 1
"""The version of how a choice is made. It rises when that changes, so that no older choice is used."""
_MOST_BYTES = 1 << 20


def choose(
    bundle: Bundle,
    variant: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    on_message: OnMessage = lambda line: None,
) -> Candidate:
    """Returns the fastest way to run a bundle here that gives the right masks; measured once, then remembered.

    Args:
        bundle: the bundle to run.
        variant: the variant's name; if None, each backend's own default.
        device: only candidates that run on this device; all if None.
        threads: CPU threads for one frame.
        on_message: called with the choice and its times, and with the reason if a candidate is left out.

    Raises:
        BackendError: nothing that is installed runs on this device.
        BundleError: the bundle has no such variant.
    """
    candidates = _candidates(bundle, variant, device)
    identity = _identity(bundle, candidates, threads)
    key, store = key_of_fields(identity), Store(_CHOICES)
    remembered = _recall(store, key, candidates, on_message)
    if remembered is not None:
        return remembered
    if len(candidates) == 1:
        on_message(f"auto takes {candidates[0]}, because nothing else that is installed runs here")
        return candidates[0]
    on_message(f"auto tries {', '.join(map(str, candidates))}; that takes some seconds, once")
    measured = measure(bundle, candidates, threads, on_message)
    if measured is None and device is not None:
        raise BackendError(
            f"nothing that is installed gives the right masks on {device}; leave the device out"
        )
    if measured is None:
        fallback = _on_cpu(bundle, variant)
        on_message(
            f"auto takes {fallback}, because nothing could be compared with it; edgeseg verify measures the bundle"
        )
        return fallback
    best, figures = measured
    line = f"auto takes {best}: {figures}"
    on_message(line)
    content = {"backend": best.backend, "device": best.device, "line": line}
    try:
        store.store(key, identity, json.dumps(content).encode(), {})
        store.trim(_MOST_BYTES)
    except (BackendError, OutputError) as error:
        on_message(f"the choice is not kept, and is made again at each start: {error}")
    return best


def _candidates(bundle: Bundle, variant: str | None, device: str | None) -> list[Candidate]:
    """The installed backends that can run the bundle, in the order of registration."""
    named = None if variant is None else bundle.variant(variant)
    found, reasons = [], []
    for name in names():
        kind = backend_class(name)
        for on in kind.auto_devices if device is None else (device,):
            reason = kind.why_unavailable(on)
            try:
                chosen = named or kind.default_variant(bundle, on) if not reason else None
            except BundleError as error:
                reason, chosen = str(error), None
            if chosen is not None and chosen.target not in kind.targets(on):
                reason, chosen = (
                    f"{name} does not take {chosen.name}, which is made for {chosen.target}",
                    None,
                )
            if chosen is not None:
                found.append(Candidate(name, on, chosen))
            elif reason:
                reasons.append(reason)
    if found:
        return found
    if device is None:
        return [_on_cpu(bundle, variant)]
    raise BackendError(f"nothing that is installed runs this bundle on {device}: {'; '.join(reasons)}")


def _on_cpu(bundle: Bundle, variant: str | None) -> Candidate:
    """The candidate that runs everywhere, though slowly, and runs every variant."""
    try:
        chosen = bundle.variant_for(("any", "cpu")) if variant is None else bundle.variant(variant)
    except BundleError:
        chosen = bundle.variant()
    return Candidate(OnnxRuntimeBackend.name, "cpu", chosen)


def _identity(bundle: Bundle, candidates: Sequence[Candidate], threads: int | None) -> dict[str, Any]:
    from ...._version import __version__

    return {
        "form": _FORM,
        "edgeseg": __version__,
        "cpu": cpu_identity(),
        "cores": usable_cpus(),
        "threads": threads,
        "input_size_hw": list(bundle.input_size_hw),
        "candidates": [
            [c.backend, c.device, c.variant.sha256, backend_class(c.backend).version(c.device)]
            for c in candidates
        ],
    }


def _recall(
    store: Store, key: str, candidates: Sequence[Candidate], on_message: OnMessage
) -> Candidate | None:
    try:
        content, why = store.load(key)
    except (BackendError, OutputError):  # reported when the choice is stored
        return None
    if content is None:
        if why:
            on_message(f"choosing again: {why}")
        return None
    fields = json.loads(content)
    for candidate in candidates:
        if (candidate.backend, candidate.device) == (fields["backend"], fields["device"]):
            on_message(f"{fields['line']} (measured earlier)")
            return candidate
    return None
