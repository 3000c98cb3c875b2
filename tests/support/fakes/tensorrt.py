"""TensorRT's Python module as far as engines are run: an "engine" is the bundle's graph, run by ONNX Runtime.

Names are those of TensorRT 10.3. Execution waits on the fake GPU's stream and reads and writes its memory by address,
so a copy that is missing, late or of the wrong size shows.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
from edgeseg.core.errors import BundleError
from edgeseg.runtime.decode import decode
from edgeseg.runtime.tensorrt import engines
from edgeseg.runtime.tensorrt.engines import EngineRequest, LoadableEngine
from edgeseg.runtime.tensorrt.identity import EngineIdentity
from edgeseg.runtime.tensorrt.options import BuildOptions

UINT8, FLOAT, INPUT, OUTPUT = "DataType.UINT8", "DataType.FLOAT", "TensorIOMode.INPUT", "TensorIOMode.OUTPUT"
USER_MANAGED = "ExecutionContextAllocationStrategy.USER_MANAGED"
SCRATCH_BYTES = 4096
MAGIC = b"engine of the fake\n"


class FakeTensorRT:
    """The module, and what tests set and read.

    Attributes:
        module: to be put where imports look.
        tensors: changes to what an engine says of its tensors: name to (mode, dtype, shape), or None to leave it out.
        log_on_execute: what is logged when execution is refused; it is, where this is not empty.
        stream_capturable: the answer of ``is_stream_capturable``, which 10.3 has not got; left out where None.
        refuses_context, refuses_shape, refuses_address: let these calls fail.
        told: the options and GPU of each engine that was asked for.
        in_cache: the bytes of an engine that the cache has.
        by_hand: how the newest engine was built, which is taken where no options are given.
        lives: contexts, engines and runtimes in the order in which they began, with ``+``, and ended, with ``-``.
        runtimes: what each runtime was told before it loaded an engine.
        shapes_set: every shape that was set.
    """

    def __init__(self, fake: Any) -> None:
        self.fake = fake
        self.tensors: dict[str, Any] = {}
        self.log_on_execute = ""
        self.stream_capturable: bool | None = None
        self.refuses_context = self.refuses_shape = self.refuses_address = False
        self.told: list[tuple[BuildOptions | None, Any]] = []
        self.in_cache = b""
        self.by_hand = BuildOptions()
        self.lives: list[str] = []
        self.runtimes: list[dict[str, Any]] = []
        self.shapes_set: list[tuple[int, ...]] = []
        self.module: Any = ModuleType("tensorrt")
        self.module.__version__ = "10.3.0"
        self.module.ILogger = ILogger
        self.module.DataType = SimpleNamespace(UINT8=UINT8, FLOAT=FLOAT)
        self.module.TensorIOMode = SimpleNamespace(INPUT=INPUT, OUTPUT=OUTPUT)
        self.module.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED=USER_MANAGED)
        self.module.Runtime = lambda logger: Runtime(self, logger)

    def get_engine(self, *args: Any, **kwargs: Any) -> LoadableEngine:
        """In place of the cache and the builder: takes what the real one takes, and checks the graph likewise."""
        given = inspect.signature(engines.get_engine).bind(*args, **kwargs).arguments
        request: EngineRequest = given["request"]
        variant, options = request.variant, request.options
        self.told.append((options, request.gpu))
        model = variant.path.read_bytes()
        if hashlib.sha256(model).hexdigest() != variant.sha256:
            raise BundleError(f"{variant.path} was altered since its bundle was opened")
        options = options or self.by_hand
        given["on_message"](f"building an engine for {variant.name}")
        head = {"batch": options.batch, "size": request.input_size_hw, "classes": options.frame_size_hw}
        engine = MAGIC + json.dumps(head).encode() + b"\n" + model
        identity = EngineIdentity.of(variant, request.tensorrt, request.gpu, options)
        seconds = None if self.in_cache and not request.force else 1.0
        engine = self.in_cache if seconds is None else engine
        return LoadableEngine(engine, identity, Path("/cache/x.engine"), seconds)


class ILogger:
    ERROR, INTERNAL_ERROR, WARNING, INFO = "ERROR", "INTERNAL_ERROR", "WARNING", "INFO"

    def log(self, severity: str, msg: str) -> None:
        raise NotImplementedError


class Living:
    """Tells when it ends."""

    def __init__(self, owner: FakeTensorRT) -> None:
        self.owner = owner
        owner.lives.append(f"+{type(self).__name__}")

    def __del__(self) -> None:
        where = "" if self.owner.fake.pushed else " outside the context"
        self.owner.lives.append(f"-{type(self).__name__}{where}")


class Runtime(Living):
    def __init__(self, owner: FakeTensorRT, logger: ILogger) -> None:
        super().__init__(owner)
        self.logger = logger
        self.engine_host_code_allowed: bool | None = None
        self.DLA_core = 0

    def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
        self.owner.runtimes.append({"host_code": self.engine_host_code_allowed, "dla": self.DLA_core})
        if not data.startswith(MAGIC):
            self.logger.log(
                ILogger.ERROR, "Serialization assertion stdVersionRead == serializedVersion failed."
            )
            return None
        head, _, model = data.removeprefix(MAGIC).partition(b"\n")
        return Engine(self.owner, self.logger, json.loads(head), model)


class Engine(Living):
    def __init__(self, owner: FakeTensorRT, logger: ILogger, head: dict[str, Any], model: bytes) -> None:
        super().__init__(owner)
        self.logger = logger
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.smallest, self.largest = head["batch"]
        self.size, self.classes = tuple(head["size"]), head["classes"] and tuple(head["classes"])
        self.device_memory_size_v2 = SCRATCH_BYTES
        batch = self.smallest if self.smallest == self.largest else -1
        self.tensors = {
            "frame": (INPUT, UINT8, (batch, *self.size, 3)),
            "logits": (OUTPUT, FLOAT, (batch, *self.session.get_outputs()[0].shape[1:])),
        }
        if self.classes:
            self.tensors["classes"] = (OUTPUT, UINT8, (batch, *self.classes))
            self.tensors["sum"] = (OUTPUT, FLOAT, (batch, 1, 1, 1))
        self.tensors |= owner.tensors
        self.tensors = {name: tensor for name, tensor in self.tensors.items() if tensor is not None}

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> str:
        return str(self.tensors[name][0])

    def get_tensor_dtype(self, name: str) -> str:
        return str(self.tensors[name][1])

    def get_tensor_shape(self, name: str) -> list[int]:
        return list(self.tensors[name][2])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        assert (name, profile_index) == ("frame", 0)
        return [[batch, *self.size, 3] for batch in (self.smallest, self.largest, self.largest)]

    def create_execution_context(self, strategy: str) -> Context | None:
        assert strategy == USER_MANAGED
        if self.owner.refuses_context:
            self.logger.log(ILogger.ERROR, "Requested amount of GPU memory could not be allocated.")
            return None
        return Context(self.owner, self.logger, self)


class Context(Living):
    def __init__(self, owner: FakeTensorRT, logger: ILogger, engine: Engine) -> None:
        super().__init__(owner)
        self.logger, self.engine = logger, engine
        self.addresses: dict[str, int] = {}
        self.scratch = 0
        self.batch = engine.smallest if engine.smallest == engine.largest else None
        if owner.stream_capturable is not None:
            self.is_stream_capturable = lambda stream: owner.stream_capturable

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size >= self.engine.device_memory_size_v2
        self.scratch = memory

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return not self.owner.refuses_address

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert (name, shape[1:]) == ("frame", (*self.engine.size, 3))
        self.owner.shapes_set.append(shape)
        if self.owner.refuses_shape or not self.engine.smallest <= shape[0] <= self.engine.largest:
            self.logger.log(ILogger.ERROR, "Static dimension mismatch while setting input shape.")
            return False
        self.batch = shape[0]
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        fake = self.owner.fake
        assert fake.pushed, "executed outside the context"
        assert stream_handle in fake.streams
        assert self.addresses.keys() == self.engine.tensors.keys()
        assert self.batch is not None, "the batch was never set"
        assert self.scratch, "there is no scratch memory"
        fake.calls.append("execute")
        if self.owner.log_on_execute:
            self.logger.log(ILogger.ERROR, self.owner.log_on_execute)
            return False
        # A captured graph keeps the shapes it was captured with.
        addresses, session, batch = self.addresses, self.engine.session, self.batch
        frame_shape, classes_hw = (batch, *self.engine.size, 3), self.engine.classes

        def run() -> None:
            fake.kernel()
            for address in addresses.values():
                fake.touch(address)
            frame = read(addresses["frame"], frame_shape)
            logits = session.run(["logits"], {"frame": frame})[0]
            with np.errstate(invalid="ignore"):
                total = logits.sum(axis=(1, 2, 3), dtype=np.float32)
            write(addresses["logits"], logits)
            if classes_hw is None:
                return
            write(addresses["sum"], total)
            finite = np.nan_to_num(logits, posinf=0, neginf=0)
            write(addresses["classes"], np.stack([decode(each, classes_hw) for each in finite]))

        fake.enqueue(run)
        return True


def read(address: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(ctypes.string_at(address, int(np.prod(shape))), np.uint8).reshape(shape)


def write(address: int, array: np.ndarray) -> None:
    array = np.ascontiguousarray(array)
    ctypes.memmove(address, array.ctypes.data, array.nbytes)
