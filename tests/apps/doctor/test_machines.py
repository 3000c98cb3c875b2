"""The doctor's findings on machines that work and on machines that do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from edgeseg.apps.doctor.diagnosis import Diagnosis
from edgeseg.apps.doctor.host import Library, ProgramResult
from edgeseg.apps.doctor.summary import summarize

from .conftest import Machine, bare, desktop, driver, jetpack6, jetpack7, memory, onnxruntime, opencv

Make = Callable[[Callable[[Machine], None]], Machine]


def troubles(findings: dict[str, Diagnosis]) -> dict[str, str]:
    return {key: one.status for key, one in findings.items() if one.status in ("missing", "problem")}


def concluded(machine: Machine) -> tuple[set[str], str]:
    summary = summarize(machine.findings().values())
    return {name for name, can in summary.can.items() if can}, summary.text


class TestWhatWorks:
    def test_a_bare_box(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        assert troubles(machine.findings()) == {"training.packages": "missing"}
        can, text = concluded(machine)
        assert can == {"onnxruntime_cpu"}
        assert text.startswith("This machine runs bundles with ONNX Runtime on the CPU.")
        assert "TensorRT: not yet: there is no NVIDIA GPU" in text

    def test_a_desktop_with_a_gpu(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        found = machine.findings()
        assert troubles(found) == {"training.packages": "missing"}
        assert found["gpu.device"].text == "NVIDIA GeForce RTX 4070, compute capability 8.9, 12.0 GiB"
        assert found["gpu.driver"].facts == {"version": "580.65.06", "cuda": "13.0"}
        assert concluded(machine)[0] == {
            "onnxruntime_cpu",
            "onnxruntime_cuda",
            "tensorrt_build",
            "tensorrt_run",
        }

    @pytest.mark.parametrize(
        ("kind", "jetpack", "cpu", "mode"),
        [
            (jetpack6, "JetPack 6.2, L4T 36.4.3", "Cortex-A78AE, 6 cores, aarch64", "15W (mode 0)"),
            (jetpack7, "JetPack 7.0, L4T 38.2.0", "Neoverse V3AE, 14 cores, aarch64", "120W (mode 1)"),
        ],
    )
    def test_a_jetson(
        self, make_machine: Make, kind: Callable[[Machine], None], jetpack: str, cpu: str, mode: str
    ) -> None:
        machine = make_machine(kind)
        found = machine.findings()
        assert troubles(found) == {}
        assert found["jetson.jetpack"].text == jetpack
        assert found["machine.cpu"].text == cpu
        assert found["jetson.power"].text.startswith(mode)
        assert "\0" not in found["jetson.model"].text
        assert concluded(machine)[0] == {"onnxruntime_cpu", "tensorrt_build", "tensorrt_run"}

    def test_rtx_builds_where_there_is_no_gpu(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        machine.libraries["tensorrt_rtx"] = Library({"version": "1.7.1"})
        can, text = concluded(machine)
        assert "tensorrt_build" in can
        assert "tensorrt_run" not in can
        assert "engines for other machines can be built here" in text

    def test_several_gpus_each_have_a_line(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        machine.libraries["libcuda"] = driver("13.0", ("A", "8.9", 1 << 34), ("B", "8.6", 1 << 33))
        found = machine.findings()
        assert found["gpu.device1"].text == "B, compute capability 8.6, 8.0 GiB"

    def test_openvino_and_what_it_computes_in(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        found = machine.findings()["openvino.package"]
        assert (found.status, found.quiet) == ("note", False)
        assert 'pip install "edgeseg[openvino]"' in found.text
        there = {"version": "2026.4.1", "devices": ["CPU", "GPU"], "cpu_precision": "bf16"}
        for told, text in (
            (there, "2026.4.1, for CPU, GPU; on the CPU in bfloat16, and in float32 with --device cpu-f32"),
            ({**there, "cpu_precision": "f32"}, "2026.4.1, for CPU, GPU"),
        ):
            machine.libraries["openvino"] = Library(told)
            found = machine.findings()["openvino.package"]
            assert (found.status, found.text) == ("ok", text)

    @pytest.mark.parametrize(
        ("library", "told"),
        [
            (Library(None, "ImportError: libtbb.so.12"), "does not load: ImportError: libtbb.so.12"),
            (
                Library({"version": "2026.4.1", "devices": [], "cpu_precision": ""}),
                "2026.4.1; it finds no device",
            ),
        ],
    )
    def test_a_broken_openvino(self, make_machine: Make, library: Library, told: str) -> None:
        machine = make_machine(bare)
        machine.libraries["openvino"] = library
        found = machine.findings()["openvino.package"]
        assert (found.status, found.text) == ("problem", told)
        assert found.fix == ("pip install --force-reinstall openvino",)


class TestExtras:
    def test_a_core_install_has_none_and_gets_the_line_to_type(self, make_machine: Make) -> None:
        found = make_machine(bare).findings()
        assert found["extras.installed"].text == "none; the core install runs bundles without them"
        preview = found["extras.preview"]
        assert (preview.status, preview.quiet) == ("note", False)
        assert preview.text == "not installed; it is for edgeseg run --preview"
        assert preview.fix == ('pip install "edgeseg[preview]"',)

    def test_those_that_are_there_and_one_that_is_there_in_part(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        machine.packages |= {"av": "12.0.0", "rasterio": "1.3.9", "uvicorn": "0.30.0", "websockets": "12.0"}
        found = machine.findings()
        assert found["extras.installed"].text == "ortho, rtsp"
        assert "extras.rtsp" not in found
        assert found["extras.preview"].text.startswith("lacks prometheus-client; it is for ")

    def test_another_section_has_the_command_of_some(self, make_machine: Make) -> None:
        found = make_machine(bare).findings()
        shown = {key for key, one in found.items() if key.startswith("extras.") and not one.quiet}
        assert shown == {
            f"extras.{name}"
            for name in (
                "bag",
                "installed",
                "mavlink",
                "ortho",
                "pretrained",
                "preview",
                "rtsp",
                "tensorboard",
            )
        }
        assert not found["extras.tensorrt"].fix

    def test_a_jetson_keeps_its_own_opencv(self, make_machine: Make) -> None:
        found = make_machine(jetpack6).findings()
        assert found["extras.installed"].text == "jetson"
        assert found["extras.preview"].fix == ("pip install uvicorn websockets prometheus-client",)
        assert found["extras.pretrained"].quiet


@pytest.mark.parametrize(
    ("flags", "status", "told"),
    [
        ("avx2 avx512_vnni", "ok", "avx512_vnni"),
        ("avx2", "note", "may saturate"),
        ("sse4_2", "note", "run fp32"),
    ],
)
def test_int8_on_x86(make_machine: Make, flags: str, status: str, told: str) -> None:
    machine = make_machine(bare)
    machine.write("/proc/cpuinfo", f"processor : 0\nmodel name : X\nflags : {flags}\n")
    found = machine.findings()["machine.int8"]
    assert found.status == status
    assert told in found.text


class TestWhatIsMissing:
    """Each way to be broken: the finding's key, its status, a part of its text and its commands."""

    def check(self, machine: Machine, key: str, status: str, text: str, *fix: str) -> None:
        found = machine.findings()[key]
        assert found.status == status
        assert text in found.text
        assert found.fix == fix
        assert found.needed_for

    def test_an_nvidia_gpu_without_its_driver(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        machine.write("/sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n")
        machine.write("/sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n")
        self.check(
            machine,
            "gpu.device",
            "missing",
            "its driver is not",
            "sudo ubuntu-drivers install",
            "sudo reboot",
        )

    def test_a_driver_that_was_renewed_under_the_kernel(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        machine.libraries["libcuda"] = driver("13.0", error="CUDA_ERROR_SYSTEM_DRIVER_MISMATCH")
        self.check(machine, "gpu.device", "problem", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "sudo reboot")
        assert "its GPU is not usable" in concluded(machine)[1]

    def test_a_gpu_hidden_by_the_environment(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        machine.libraries["libcuda"] = driver("13.0", error="CUDA_ERROR_NO_DEVICE")
        machine.environ["CUDA_VISIBLE_DEVICES"] = ""
        self.check(machine, "gpu.device", "problem", "CUDA_VISIBLE_DEVICES", "unset CUDA_VISIBLE_DEVICES")

    def test_nvidia_smi_that_hangs(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        machine.programs["nvidia-smi"] = ProgramResult(None, timed_out=True)
        self.check(machine, "gpu.driver", "problem", "nvidia-smi hangs", "sudo reboot")

    def test_no_tensorrt(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        del machine.libraries["tensorrt"]
        install = 'pip install "edgeseg[tensorrt]"'
        self.check(machine, "tensorrt.tensorrt", "missing", "not installed", install)
        assert "no TensorRT that edgeseg supports" in concluded(machine)[1]

    def test_no_tensorrt_under_an_older_driver(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        del machine.libraries["tensorrt"], machine.libraries["cuda"]
        machine.libraries["libcuda"] = driver("12.4", ("GPU", "8.6", 1 << 33))
        install = 'pip install tensorrt-cu12 "cuda-python<13"'
        self.check(machine, "tensorrt.tensorrt", "missing", "not installed", install)
        self.check(machine, "cuda.device_memory", "missing", "neither", 'pip install "cuda-python<13"')

    @pytest.mark.parametrize("version", ["8.6.2", "10.2.0", "12.0.0"])
    def test_a_tensorrt_that_is_not_supported(self, make_machine: Make, version: str) -> None:
        machine = make_machine(desktop)
        machine.libraries["tensorrt"] = Library({"version": version})
        self.check(
            machine,
            "tensorrt.tensorrt",
            "problem",
            f"{version}; edgeseg supports 10.3 to 11.x",
            'pip install "tensorrt>=10.3,<12"',
        )

    @pytest.mark.parametrize("version", ["10.3.0", "10.16.1", "11.4.0.106"])
    def test_a_tensorrt_that_is(self, make_machine: Make, version: str) -> None:
        machine = make_machine(desktop)
        machine.libraries["tensorrt"] = Library({"version": version})
        assert machine.findings()["tensorrt.tensorrt"].status == "ok"

    def test_a_tensorrt_for_a_newer_cuda_than_the_driver_s(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        machine.libraries["libcuda"] = driver("12.8", ("GPU", "8.6", 1 << 33))
        self.check(
            machine,
            "tensorrt.tensorrt",
            "problem",
            "is for CUDA 13",
            "pip uninstall --yes tensorrt tensorrt-cu13",
            "pip install tensorrt-cu12",
        )
        self.check(
            machine,
            "cuda.device_memory",
            "problem",
            "newer than the driver",
            'pip install "cuda-python<13"',
        )

    def test_a_tensorrt_that_crashes(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        machine.libraries["tensorrt"] = Library(None, "crashed while loading (SIGSEGV)")
        self.check(
            machine, "tensorrt.tensorrt", "problem", "SIGSEGV", "pip install --force-reinstall tensorrt"
        )

    def test_two_packages_of_onnx_runtime(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        machine.packages["onnxruntime"] = "1.22.0"
        self.check(
            machine,
            "onnxruntime.package",
            "problem",
            "onnxruntime and onnxruntime-gpu are one Python module",
            "pip uninstall --yes onnxruntime onnxruntime-gpu",
            "pip install --no-deps onnxruntime-gpu",
        )
        assert "onnxruntime_cpu" in concluded(machine)[0], "it runs, for the time being"

    def test_onnx_runtime_without_cuda(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        machine.libraries["onnxruntime"] = onnxruntime()
        self.check(
            machine,
            "onnxruntime.providers",
            "missing",
            "no CUDA, though there is a GPU",
            "pip uninstall --yes onnxruntime",
            "pip install onnxruntime-gpu",
        )

    @pytest.mark.parametrize(
        ("library", "package"),
        [
            ("libcudnn.so.9", "cudnn"),
            ("libcublasLt.so.12", "cuda-libraries-12-9"),
            ("libodd.so", "cuda"),
        ],
    )
    def test_a_provider_that_cannot_start(self, make_machine: Make, library: str, package: str) -> None:
        machine = make_machine(desktop)
        machine.libraries["onnxruntime"] = onnxruntime("CUDA", broken={"CUDAExecutionProvider": library})
        fix = f"sudo apt-get install {package}"
        self.check(machine, "onnxruntime.providers", "problem", f"{library} is not found", fix)
        assert "onnxruntime_cuda" not in concluded(machine)[0]

    def test_no_onnx_runtime(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        del machine.libraries["onnxruntime"]
        self.check(machine, "onnxruntime.package", "missing", "not installed", "pip install onnxruntime")
        assert concluded(machine)[1].startswith("This machine cannot run bundles yet")

    @pytest.mark.parametrize(
        ("error", "fix"),
        [
            (
                "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
                "sudo apt-get install libgl1 libglib2.0-0",
            ),
            ("ImportError: numpy.core.multiarray failed to import", 'pip install "numpy<2"'),
            (
                "crashed while loading (SIGILL)",
                "pip install --force-reinstall --no-deps opencv-python",
            ),
        ],
    )
    def test_an_opencv_that_does_not_load(self, make_machine: Make, error: str, fix: str) -> None:
        machine = make_machine(bare)
        machine.libraries["cv2"] = Library(None, error)
        self.check(machine, "opencv.package", "problem", error, fix)
        assert concluded(machine)[0] == set()

    def test_two_packages_of_opencv(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        machine.packages["opencv-python-headless"] = "4.12.0.88"
        self.check(
            machine,
            "opencv.package",
            "problem",
            "overwrite each other",
            "pip uninstall --yes opencv-python opencv-python-headless",
            "pip install --no-deps opencv-python",
        )

    def test_an_opencv_without_windows_on_a_desktop(self, make_machine: Make) -> None:
        machine = make_machine(desktop)
        machine.packages["opencv-python-headless"] = machine.packages.pop("opencv-python")
        machine.libraries["cv2"] = opencv(gui="NONE")
        self.check(
            machine,
            "opencv.gui",
            "missing",
            "no windows",
            "pip uninstall --yes opencv-python-headless",
            "pip install opencv-python",
        )

    def test_core_packages(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        del machine.packages["fastjsonschema"]
        self.check(
            machine, "edgeseg.core", "missing", "not installed: fastjsonschema", "pip install fastjsonschema"
        )

    def test_a_camera_that_only_others_may_read(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        machine.write("/dev/video0")
        machine.options["may_use"] = lambda path: False
        self.check(
            machine,
            "cameras.devices",
            "problem",
            "you may not read /dev/video0",
            'sudo usermod -aG video "$USER"',
            "newgrp video",
        )


class TestWhatIsMissingOnAJetson:
    check = TestWhatIsMissing.check

    def test_an_environment_that_does_not_see_jetpack(self, make_machine: Make) -> None:
        machine = make_machine(jetpack6)
        del machine.libraries["tensorrt"]
        self.check(
            machine,
            "tensorrt.tensorrt",
            "problem",
            "hidden from this Python environment",
            "python3 -m venv --system-site-packages .venv",
        )

    def test_another_python_than_jetpack_s(self, make_machine: Make) -> None:
        machine = make_machine(jetpack6)
        del machine.libraries["tensorrt"]
        machine.options["python"] = (3, 11, 0)
        self.check(
            machine,
            "tensorrt.tensorrt",
            "problem",
            "is for Python 3.10, and this is Python 3.11",
            "python3.10 -m venv --system-site-packages .venv-jetpack",
        )

    def test_pip_s_tensorrt_in_the_way(self, make_machine: Make) -> None:
        machine = make_machine(jetpack6)
        machine.packages |= {"tensorrt": "12.0.0", "tensorrt-cu13": "12.0.0"}
        machine.libraries["tensorrt"] = Library({"version": "12.0.0"})
        self.check(
            machine,
            "tensorrt.tensorrt",
            "problem",
            "edgeseg supports 10.3 to 11.x",
            "pip uninstall --yes tensorrt tensorrt-cu13",
            "sudo apt-get install tensorrt python3-libnvinfer",
        )

    def test_pip_s_opencv_in_the_way(self, make_machine: Make) -> None:
        machine = make_machine(jetpack6)
        machine.packages["opencv-python"] = "4.12.0.88"
        machine.libraries["cv2"] = opencv()
        self.check(
            machine,
            "opencv.video",
            "missing",
            "opencv-python hides JetPack's",
            "pip uninstall --yes opencv-python",
            "sudo apt-get install nvidia-opencv",
        )

    def test_no_pycuda_and_nvcc_off_the_path(self, make_machine: Make) -> None:
        machine = make_machine(jetpack6)
        del machine.libraries["pycuda"], machine.packages["pycuda"]
        machine.programs["nvcc"] = ProgramResult(None)
        self.check(
            machine,
            "cuda.device_memory",
            "missing",
            "neither pycuda nor cuda-python",
            "PATH=/usr/local/cuda/bin:$PATH pip install pycuda",
        )

    def test_an_older_jetpack(self, make_machine: Make) -> None:
        machine = make_machine(jetpack6)
        machine.write("/etc/nv_tegra_release", "# R35 (release), REVISION: 4.1, GCID: 1\n")
        machine.programs["dpkg-query"] = ProgramResult(1)
        self.check(machine, "jetson.jetpack", "problem", "JetPack 5, L4T 35.4.1; edgeseg's TensorRT")

    def test_a_board_flashed_without_jetpack(self, make_machine: Make) -> None:
        machine = make_machine(jetpack7)
        machine.programs["dpkg-query"] = ProgramResult(1)
        self.check(
            machine,
            "jetson.jetpack",
            "missing",
            "JetPack 7, L4T 38.2.0",
            "sudo apt-get update",
            "sudo apt-get install nvidia-jetpack",
        )

    def test_too_little_memory_to_build(self, make_machine: Make) -> None:
        machine = make_machine(jetpack6)
        machine.write("/proc/meminfo", memory(3.6, 1.8))
        found = machine.findings()["machine.memory"]
        assert found.status == "missing"
        assert found.fix[-1] == "sudo swapon /var/swapfile"

    def test_a_camera_daemon_that_hangs(self, make_machine: Make) -> None:
        machine = make_machine(jetpack6)
        machine.programs["gst-inspect-1.0"] = ProgramResult(None, timed_out=True)
        self.check(machine, "cameras.csi", "problem", "hangs", "sudo systemctl restart nvargus-daemon")

    def test_a_power_mode_that_needs_root(self, make_machine: Make) -> None:
        machine = make_machine(jetpack6)
        machine.programs["nvpmodel"] = ProgramResult(1)
        found = machine.findings()["jetson.power"]
        assert found.status == "note"
        assert "sudo nvpmodel -q" in found.text


def test_cameras_are_named_and_their_metadata_nodes_left_out(make_machine: Make) -> None:
    machine = make_machine(bare)
    for node, index in (("video10", 0), ("video2", 0), ("video3", 1)):
        machine.write(f"/dev/{node}")
        machine.write(f"/sys/class/video4linux/{node}/index", f"{index}\n")
        machine.write(f"/sys/class/video4linux/{node}/name", f"Camera {node}\n")
    found = machine.findings()["cameras.devices"]
    assert found.text == "/dev/video2 (Camera video2), /dev/video10 (Camera video10)"
    assert found.facts["devices"] == ["/dev/video2", "/dev/video10"]


class TestEngineCache:
    def cache(self, machine: Machine, mode: int = 0o700) -> Path:
        folder = machine.root / "home" / "somebody" / ".cache" / "edgeseg" / "engines"
        folder.mkdir(parents=True)
        folder.chmod(mode)
        (folder / "a.engine").write_bytes(bytes(2048))
        (folder / "a.json").write_bytes(b"{}")
        return folder

    def test_what_is_in_it(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        self.cache(machine)
        found = machine.findings()["cache.folder"]
        assert found.status == "ok"
        assert found.text == "1 engine, 2 KiB, in ~/.cache/edgeseg/engines"
        assert found.facts["mode"] == "0700"

    def test_one_open_to_others(self, make_machine: Make) -> None:
        machine = make_machine(bare)
        self.cache(machine, 0o755)
        found = machine.findings()["cache.folder"]
        assert found.status == "problem"
        assert "mode 0755" in found.text
        assert found.fix == ("chmod 700 ~/.cache/edgeseg/engines",)

    def test_a_link(self, make_machine: Make, tmp_path: Path) -> None:
        machine = make_machine(bare)
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "engines").symlink_to(tmp_path)
        machine.environ["EDGESEG_CACHE"] = str(tmp_path / "cache")
        assert machine.findings()["cache.folder"].status == "problem"

    @pytest.mark.parametrize(
        ("environ", "inside"),
        [
            ({}, "home/somebody/.cache/edgeseg/engines"),
            ({"XDG_CACHE_HOME": "xdg"}, "xdg/edgeseg/engines"),
            ({"XDG_CACHE_HOME": "xdg", "EDGESEG_CACHE": "own"}, "own/engines"),
        ],
    )
    def test_it_is_the_folder_that_the_builder_uses(
        self,
        make_machine: Make,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        environ: dict[str, str],
        inside: str,
    ) -> None:
        from edgeseg.runtime.tensorrt.cache import EngineCache

        machine = make_machine(bare)
        machine.environ |= {name: str(tmp_path / value) for name, value in environ.items()}
        for name in ("EDGESEG_CACHE", "XDG_CACHE_HOME", "HOME"):
            monkeypatch.delenv(name, raising=False)
            if name in machine.environ:
                monkeypatch.setenv(name, machine.environ[name])
        folder = EngineCache().folder
        assert folder == tmp_path / inside
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        assert machine.findings()["cache.folder"].facts["mode"] == "0777"
