"""The store beneath the engines' cache; tests/runtime/tensorrt/test_cache.py has the rest."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edgeseg.runtime.cache import Kind, Store, key_of_fields

THINGS = Kind("thing", "things", danger="things bite", key_of=key_of_fields)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(THINGS, tmp_path)


def put(store: Store, number: int, size: int = 100) -> str:
    identity = {"number": number}
    key = key_of_fields(identity)
    store.store(key, identity, bytes([number]) * size, {})
    return key


def test_a_file_is_read_once_and_what_was_checked_is_given(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, opened = put(store, 1), []
    real = os.open

    def open_file(path: str, *args: int, **kwargs: int) -> int:
        opened.append(str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", open_file)
    assert store.load(key) == (b"\1" * 100, "")
    assert opened.count(store.path_of(key).name) == 1
    store.path_of(key).write_bytes(b"\2" * 100)
    content, why = store.load(key)
    assert content is None
    assert "was altered" in why


def test_two_that_write_one_thing_at_once_leave_one_of_both(store: Store) -> None:
    key = key_of_fields({"number": 1})
    start = threading.Barrier(4)

    def write(byte: int) -> None:
        start.wait()
        for _ in range(5):
            store.store(key, {"number": 1}, bytes([byte]) * 1000, {})
            content, why = store.load(key)
            assert content is not None, why

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, byte) for byte in range(4)]:
            done.result()
    assert sorted(path.name for path in store.folder.iterdir()) == [f"{key}.json", f"{key}.thing"]


def test_the_key_follows_every_field_and_no_order() -> None:
    assert key_of_fields({"a": 1, "b": 2}) == key_of_fields({"b": 2, "a": 1})
    assert len({key_of_fields(fields) for fields in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"})}) == 4


def test_trimming_keeps_the_newest_that_fit(store: Store) -> None:
    keys = [put(store, number) for number in range(4)]
    store.trim(most_bytes=250)
    assert [store.load(key)[0] is not None for key in keys] == [False, False, True, True]
    assert len(list(store.folder.iterdir())) == 4


def test_trimming_keeps_the_newest_in_any_case(store: Store) -> None:
    keys = [put(store, number) for number in range(2)]
    store.trim(most_bytes=1)
    assert [store.load(key)[0] is not None for key in keys] == [False, True]


def test_trimming_removes_what_a_killed_process_left(store: Store) -> None:
    key = put(store, 1)
    old, new = (store.folder / f".{key}.thing.partial-{number}" for number in (1, 2))
    for path in (old, new):
        path.write_bytes(b"half")
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    store.trim(most_bytes=1000)
    assert (old.exists(), new.exists()) == (False, True)
