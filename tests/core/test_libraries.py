"""Nothing that edgeseg loads tells its makers of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.libraries import load_onnxruntime, load_openvino, stay_silent

from ..faults.places import environment
from ..faults.seal import NOT_HERE, SEALED, TURNED_TO_A_NETWORK, foreign_files, sealed_run, why_not

SEAL = [*SEALED, sys.executable, "-c"]


def sealed(code: str) -> subprocess.CompletedProcess[str]:
    if reason := why_not():
        pytest.skip(reason)
    done = subprocess.run([*SEAL, code], env=environment(), capture_output=True, text=True, check=False)
    if done.returncode == NOT_HERE:
        pytest.skip(done.stderr.strip())
    return done


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_the_seal_sees_what_it_is_for(family: str) -> None:
    assert sealed(f"import socket; socket.socket(socket.{family})").returncode == TURNED_TO_A_NETWORK


def test_the_seal_sees_a_name_that_is_looked_up_in_a_thread_of_a_child() -> None:
    code = (
        "import subprocess, sys; look = 'import socket, threading;"
        ' t = threading.Thread(target=socket.getaddrinfo, args=("example.invalid", 80)); t.start(); t.join()\''
        "; sys.exit(-subprocess.run([sys.executable, '-c', look]).returncode)"
    )
    assert sealed(code).returncode == TURNED_TO_A_NETWORK - 128


def test_the_seal_leaves_the_rest_alone() -> None:
    assert sealed("import socket; socket.socketpair(); print('there')").stdout == "there\n"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_run_turns_to_no_network_and_leaves_nothing_of_others_in_the_home(
    bundle_folder: Path, tmp_path: Path, backend: str
) -> None:
    if reason := why_not():
        pytest.skip(reason)
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    home = tmp_path / "home"
    home.mkdir()
    cv2.imwrite(str(tmp_path / "frame.png"), np.full((32, 48, 3), 128, np.uint8))
    status, printed = sealed_run(bundle_folder, home, backend, str(tmp_path / "frame.png"))
    if status == NOT_HERE:
        pytest.skip(printed.strip())
    assert status == 0, printed
    assert foreign_files(home) == []
    assert len(list((home / "masks").glob("*.png"))) == 1


def test_the_doctor_turns_to_no_network() -> None:
    done = sealed(
        "from edgeseg.apps.doctor.host import inspect_library\n"
        "for name in ('onnxruntime', 'openvino', 'cv2'):\n"
        "    print(name, inspect_library(name).error)"
    )
    assert (done.returncode, done.stdout) == (0, "onnxruntime \nopenvino \ncv2 \n")


def test_somebodys_own_setting_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    stay_silent()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    load_onnxruntime()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_openvinos_reporter_is_hidden_from_openvino_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    for known in (sys, None):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "openvino_telemetry", known or sys)
            if known is None:
                del sys.modules["openvino_telemetry"]
            assert load_openvino() is sys.modules["openvino"]
            assert sys.modules.get("openvino_telemetry") is known
