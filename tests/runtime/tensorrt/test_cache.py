"""Engines are executable code: what the cache gives is what was put there, or nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from edgeseg.core.errors import BackendError, OutputError
from edgeseg.runtime.bundle import Variant
from edgeseg.runtime.cache import default_folder
from edgeseg.runtime.tensorrt.cache import EngineCache
from edgeseg.runtime.tensorrt.cuda.base import Gpu
from edgeseg.runtime.tensorrt.identity import EngineIdentity
from edgeseg.runtime.tensorrt.module import TensorRT
from edgeseg.runtime.tensorrt.options import BuildOptions

ENGINE = bytes(range(256)) * 8


@pytest.fixture
def identity(variant: Variant, orin: Gpu) -> EngineIdentity:
    return EngineIdentity.of(variant, TensorRT("tensorrt", "10.3.0", None), orin, BuildOptions())


@pytest.fixture
def stored(cache: EngineCache, identity: EngineIdentity) -> Path:
    return cache.store(identity, ENGINE)


def test_what_was_stored_is_loaded(cache: EngineCache, identity: EngineIdentity) -> None:
    assert cache.load(identity) == (None, "")
    path = cache.store(identity, ENGINE)
    assert path == cache.path_of(identity)
    assert path.read_bytes() == ENGINE
    assert cache.load(identity) == (ENGINE, "")


def test_it_is_the_users_alone(cache: EngineCache, stored: Path) -> None:
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert {path.suffix: path.stat().st_mode & 0o777 for path in cache.folder.iterdir()} == {
        ".engine": 0o600,
        ".json": 0o600,
    }


def test_what_it_says_of_an_engine(cache: EngineCache, identity: EngineIdentity, stored: Path) -> None:
    text = json.loads(stored.with_suffix(".json").read_text())
    assert text["bytes"] == len(ENGINE)
    assert text["created_with"]["tensorrt"] == "10.3.0"
    (record,) = cache.records()
    assert record.identity == identity


def test_the_newest_record_comes_first(cache: EngineCache, identity: EngineIdentity) -> None:
    newer = replace(identity, version="10.16.1")
    for each in (identity, newer):
        cache.store(each, ENGINE)
    assert [record.identity for record in cache.records()] == [newer, identity]


def truncate(engine: Path) -> None:
    engine.write_bytes(ENGINE[:100])


def alter(engine: Path) -> None:
    engine.write_bytes(ENGINE[:-1] + b"?")


def lose_the_engine(engine: Path) -> None:
    engine.unlink()


def lose_the_record(engine: Path) -> None:
    engine.with_suffix(".json").unlink()


def break_the_record(engine: Path) -> None:
    engine.with_suffix(".json").write_text("{")


def empty_the_record(engine: Path) -> None:
    engine.with_suffix(".json").write_text("{}")


def age_the_record(engine: Path) -> None:
    path = engine.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 0}))


def link_the_engine(engine: Path) -> None:
    elsewhere = engine.parent.parent / "elsewhere"
    engine.rename(elsewhere)
    engine.symlink_to(elsewhere)


def link_the_record(engine: Path) -> None:
    elsewhere = engine.parent.parent / "elsewhere"
    engine.with_suffix(".json").rename(elsewhere)
    engine.with_suffix(".json").symlink_to(elsewhere)


def put_a_folder_there(engine: Path) -> None:
    engine.unlink()
    engine.mkdir()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (truncate, "has 100 bytes instead of 2048"),
        (alter, "was altered: its SHA-256 is not the one it was stored with"),
        (lose_the_engine, "is only half of an engine"),
        (lose_the_record, "is only half of an engine"),
        (break_the_record, "is broken"),
        (empty_the_record, "is broken"),
        (age_the_record, "is broken (format 0)"),
        (link_the_engine, "Too many levels of symbolic links"),
        (link_the_record, "Too many levels of symbolic links"),
        (put_a_folder_there, "is broken"),
    ],
)
def test_a_harmed_engine_is_not_given(
    cache: EngineCache, identity: EngineIdentity, stored: Path, harm: Callable[[Path], None], why: str
) -> None:
    harm(stored)
    engine, reason = cache.load(identity)
    assert engine is None
    assert why in reason
    assert identity.key in reason


def test_another_engine_under_its_name_is_not_given(
    cache: EngineCache, identity: EngineIdentity, stored: Path
) -> None:
    wanted = replace(identity, gpu="NVIDIA A100")
    for suffix in (".engine", ".json"):
        stored.with_suffix(suffix).rename(cache.path_of(wanted).with_suffix(suffix))
    engine, reason = cache.load(wanted)
    assert engine is None
    assert reason.endswith("is another engine")


def test_a_harmed_engine_is_replaced(cache: EngineCache, identity: EngineIdentity, stored: Path) -> None:
    alter(stored)
    cache.store(identity, ENGINE)
    assert cache.load(identity) == (ENGINE, "")


def test_a_broken_record_is_in_nobodys_way(
    cache: EngineCache, identity: EngineIdentity, stored: Path
) -> None:
    other = replace(identity, version="10.16.1")
    cache.store(other, ENGINE)
    break_the_record(stored)
    assert [record.identity for record in cache.records()] == [other]


class TestAFolderThatIsNotTheUsersAlone:
    def refused(self, cache: EngineCache, identity: EngineIdentity) -> str:
        messages = set()
        for use in (
            lambda: cache.load(identity),
            lambda: cache.store(identity, ENGINE),
            cache.records,
            lambda: cache.lock(identity, lambda: None).__enter__(),
        ):
            with pytest.raises(BackendError) as told:
                use()
            messages.add(str(told.value))
        (message,) = messages
        return message

    @pytest.mark.parametrize("mode", [0o755, 0o770, 0o777, 0o1777])
    def test_others_may_enter(
        self, cache: EngineCache, identity: EngineIdentity, stored: Path, mode: int
    ) -> None:
        cache.folder.chmod(mode)
        message = self.refused(cache, identity)
        assert f"has mode {mode:04o}; engines are executable code" in message
        assert message.endswith(f"chmod 700 {cache.folder}")

    def test_another_users(
        self, cache: EngineCache, identity: EngineIdentity, stored: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: owner + 1)
        assert f"belongs to another user (uid {owner})" in self.refused(cache, identity)

    def test_a_link(self, cache: EngineCache, identity: EngineIdentity, stored: Path) -> None:
        elsewhere = cache.folder.with_name("elsewhere")
        cache.folder.rename(elsewhere)
        cache.folder.symlink_to(elsewhere)
        assert f"{cache.folder} is a link; engines are executable code" in self.refused(cache, identity)


def test_a_file_of_another_user_is_not_read(
    cache: EngineCache, identity: EngineIdentity, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        if not os.path.isdir(f"/proc/self/fd/{descriptor}"):
            fields = list(status)
            fields[4] += 1  # st_uid
            return os.stat_result(fields)
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    engine, reason = cache.load(identity)
    assert engine is None
    assert "is no file of your own" in reason


def test_a_folder_that_cannot_be_made(tmp_path: Path, identity: EngineIdentity) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot use the engine cache .* set EDGESEG_CACHE"):
        EngineCache(tmp_path / "file" / "cache").load(identity)


def test_a_full_disk_leaves_nothing(
    cache: EngineCache, identity: EngineIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write an engine to .*: No space left on device"):
        cache.store(identity, ENGINE)
    assert list(cache.folder.iterdir()) == []


def test_what_a_killed_build_left_goes(cache: EngineCache, identity: EngineIdentity, stored: Path) -> None:
    left = cache.folder / f".{identity.key}.engine.partial-1"
    of_another = cache.folder / f".{'0' * 64}.engine.partial-1"
    for path in (left, of_another):
        path.write_bytes(b"half")
    with cache.lock(identity, lambda: None):
        assert not left.exists()
    assert of_another.exists()


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"EDGESEG_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/edgeseg"),
        ({"HOME": "/c"}, "/c/.cache/edgeseg"),
        ({"EDGESEG_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/edgeseg"),
    ],
)
def test_where_it_is(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str) -> None:
    for name in ("EDGESEG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_folder() == Path(folder)
    assert EngineCache().folder == Path(folder) / "engines"
