"""ROS 2's messages and the parts of rclpy that a sink uses, for machines without ROS.

Messages accept the fields of the real ones alone, and those of plain data in their real types.
"""

from __future__ import annotations

from array import array
from types import SimpleNamespace
from typing import Any, ClassVar


class Message:
    """A message; ``FIELDS`` gives the default of each field, by a call if it is a type."""

    FIELDS: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        for name, default in self.FIELDS.items():
            object.__setattr__(self, name, default() if callable(default) else default)

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self.FIELDS, f"{type(self).__name__} has no field {name}"
        before = getattr(self, name)
        if isinstance(before, array):
            assert isinstance(value, array), (name, type(value))
            assert value.typecode == before.typecode, (name, value.typecode)
        elif isinstance(before, int | float | str | bytes) and not isinstance(before, bool):
            assert isinstance(value, type(before)), (name, value)
        object.__setattr__(self, name, value)


def message(kind: str, **fields: Any) -> type[Message]:
    return type(kind, (Message,), {"FIELDS": fields})


def octets(code: str) -> Any:
    return lambda: array(code)


Time = message("Time", sec=0, nanosec=0)
Header = message("Header", frame_id="", stamp=Time)
String = message("String", data="")
Image = message(
    "Image", header=Header, height=0, width=0, encoding="", is_bigendian=0, step=0, data=octets("B")
)
CompressedImage = message("CompressedImage", header=Header, format="", data=octets("B"))
CameraInfo = message(
    "CameraInfo", header=Header, height=0, width=0, distortion_model="", d=list, k=list, r=list, p=list
)
LaserScan = message(
    "LaserScan", header=Header, angle_min=0.0, angle_max=0.0, angle_increment=0.0, range_min=0.0, range_max=0.0,
    ranges=octets("f"),
)  # fmt: skip
Point = message("Point", x=0.0, y=0.0, z=0.0)
Quaternion = message("Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
Pose = message("Pose", position=Point, orientation=Quaternion)
PoseStamped = message("PoseStamped", header=Header, pose=Pose)
MapMetaData = message("MapMetaData", map_load_time=Time, resolution=0.0, width=0, height=0, origin=Pose)
OccupancyGrid = message("OccupancyGrid", header=Header, info=MapMetaData, data=octets("b"))
KeyValue = message("KeyValue", key="", value="")
DiagnosticStatus = message(
    "DiagnosticStatus", level=b"\x00", name="", message="", hardware_id="", values=list
)
DiagnosticArray = message("DiagnosticArray", header=Header, status=list)
VisionClass = message("VisionClass", class_id=0, class_name="")
LabelInfo = message("LabelInfo", header=Header, class_map=list, threshold=0.0)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.nanoseconds = 5 * 10**9

    def now(self) -> Any:
        return SimpleNamespace(nanoseconds=self.nanoseconds)


class Publisher:
    def __init__(self, topic: str, profile: Any) -> None:
        self.topic, self.profile, self.readers = topic, profile, 0
        self.sent: list[Any] = []
        self.waited_for = 0

    def publish(self, message: Any) -> None:
        self.sent.append(message)

    def wait_for_all_acked(self, seconds: float) -> bool:
        self.waited_for = len(self.sent)
        return True

    def get_subscription_count(self) -> int:
        return self.readers


class LifecycleNode:
    """A managed node with its publishers by topic."""

    def __init__(self, name: str, namespace: str, context: Any) -> None:
        self.name, self.namespace, self.clock = name, namespace, Clock()
        self.publishers: dict[str, Publisher] = {}
        self.removed: list[str] = []
        self.values: dict[str, Any] = {}
        self.judge: Any = None
        self.context = context
        context.nodes.append(self)

    def get_name(self) -> str:
        return self.name

    def get_fully_qualified_name(self) -> str:
        return f"/{self.namespace}/{self.name}"

    def get_clock(self) -> Clock:
        return self.clock

    def declare_parameter(self, name: str, value: Any, descriptor: Any) -> None:
        value = self.context.overrides.get(name, value)
        self.values[name] = value

    def get_parameter(self, name: str) -> Any:
        return SimpleNamespace(value=self.values[name])

    def add_on_set_parameters_callback(self, judge: Any) -> None:
        self.judge = judge

    def create_publisher(self, kind: Any, topic: str, profile: Any) -> Publisher:
        return self.publishers.setdefault(topic, Publisher(topic, profile))

    def destroy_publisher(self, publisher: Publisher) -> None:
        self.removed.append(publisher.topic)
        del self.publishers[publisher.topic]

    def trigger_configure(self) -> str:
        return self.on_configure(None)

    def trigger_activate(self) -> str:
        return self.on_activate(None)

    def destroy_node(self) -> None:
        self.context.nodes.remove(self)


class SourceNode(LifecycleNode):
    """A node that subscribes; ``context.offered`` are the types of the publishers, of any topic."""

    def __init__(self, name: str, context: Any, parameter_overrides: list[Any]) -> None:
        super().__init__(name, "", context)
        self.sim_time = parameter_overrides[0]
        self.heard: Any = None
        self.profile: Any = None

    def get_publishers_info_by_topic(self, topic: str) -> list[Any]:
        return [
            SimpleNamespace(topic_type=kind, qos_profile=SimpleNamespace(reliability="best effort"))
            for kind in self.context.offered
        ]

    def create_subscription(self, kind: Any, topic: str, heard: Any, profile: Any) -> None:
        self.heard, self.profile = heard, profile


class Context:
    def __init__(self) -> None:
        self.args: list[str] | None = None
        self.is_open = False
        self.overrides: dict[str, Any] = {}
        self.nodes: list[Any] = []
        self.offered: list[str] = []

    def ok(self) -> bool:
        return self.is_open

    def try_shutdown(self) -> None:
        self.is_open = False


class Executor:
    def __init__(self, context: Context) -> None:
        import threading

        self.ended, self.failure = threading.Event(), None

    def add_node(self, node: Any) -> None:
        node.executor = self

    def spin(self) -> None:
        self.ended.wait()
        if self.failure is not None:
            raise self.failure

    def shutdown(self, timeout_sec: float) -> None:
        self.ended.set()


def fake_ros(vision: bool = False, **overrides: Any) -> Any:
    """ROS as :func:`edgeseg.embedding.ros2.library.load_ros` gives it; ``overrides`` are parameters.

    Args:
        vision: whether vision_msgs is there.
        overrides: values of the node's parameters, as from a launch file.
    """
    from edgeseg.embedding.ros2.library import Ros

    contexts: list[Context] = []
    offered: list[str] = []

    def make_context() -> Context:
        context = Context()
        context.overrides = overrides
        context.offered = offered
        contexts.append(context)
        return context

    def init(args: list[str], context: Context, signal_handler_options: str) -> None:
        assert signal_handler_options == "no"
        if "refused" in args:
            raise RuntimeError(
                "Failed to parse global arguments: 'refused', at /src/rcl/arguments.c:343\nmore"
            )
        context.args, context.is_open = args, True

    words = SimpleNamespace
    rclpy = words(
        Context=make_context,
        contexts=contexts,
        offered=offered,
        create_node=lambda name, context, parameter_overrides, **options: SourceNode(
            name, context, parameter_overrides
        ),
        parameter=words(Parameter=lambda name, value: (name, value)),
        init=init,
        duration=words(Duration=lambda seconds: seconds),
        signals=words(SignalHandlerOptions=words(NO="no")),
        executors=words(
            SingleThreadedExecutor=Executor, ExternalShutdownException=type("Ended", (Exception,), {})
        ),
        lifecycle=words(
            LifecycleNode=LifecycleNode,
            TransitionCallbackReturn=words(SUCCESS="success", FAILURE="failure"),
        ),
        qos=words(
            QoSProfile=lambda **policies: policies,
            HistoryPolicy=words(KEEP_LAST="keep last"),
            ReliabilityPolicy=words(RELIABLE="reliable", BEST_EFFORT="best effort"),
            DurabilityPolicy=words(TRANSIENT_LOCAL="transient local", VOLATILE="volatile"),
        ),
    )
    return Ros(
        rclpy,
        sensor=words(
            Image=Image, CompressedImage=CompressedImage, CameraInfo=CameraInfo, LaserScan=LaserScan
        ),
        std=words(Header=Header, String=String),
        nav=words(OccupancyGrid=OccupancyGrid),
        geometry=words(PoseStamped=PoseStamped),
        diagnostic=words(
            DiagnosticArray=DiagnosticArray, DiagnosticStatus=DiagnosticStatus, KeyValue=KeyValue
        ),
        interfaces=words(ParameterDescriptor=lambda **fields: fields, SetParametersResult=words),
        vision=words(LabelInfo=LabelInfo, VisionClass=VisionClass) if vision else None,
    )
