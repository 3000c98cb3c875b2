"""The managed node: it publishes only while it is active."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from .library import Ros
from .node import one_line

log = logging.getLogger(__name__)


class LifecycleSteps(Protocol):
    """The steps of a managed node when its state changes. A step that raises an error leaves the state as it was."""

    def configure(self, node: Any) -> None:
        """Reads the parameters and makes the publishers."""

    def activate(self) -> None:
        """Begins to publish."""

    def deactivate(self) -> None:
        """Publishes no more."""

    def clean_up(self) -> None:
        """Removes the publishers."""

    def shut_down(self) -> None:
        """Ends for good."""


def managed_node(ros: Ros, name: str, namespace: str, context: Any, steps: LifecycleSteps) -> Any:
    """Makes a managed node.

    Args:
        ros: the packages.
        name: of the node; a remapping of ``__node`` replaces it.
        namespace: of the node; a remapping of ``__ns`` replaces it.
        context: initialised.
        steps: called when the node's state changes.
    """
    outcome = ros.rclpy.lifecycle.TransitionCallbackReturn

    def done(step: Callable[[], None], what: str) -> Any:
        try:
            step()
        except Exception as error:  # ROS would drop it silently
            log.error("the ROS node does not %s: %s", what, one_line(error), exc_info=error)
            return outcome.FAILURE
        return outcome.SUCCESS

    class ManagedNode(ros.rclpy.lifecycle.LifecycleNode):  # type: ignore[misc, name-defined]  # known only here
        def on_configure(self, state: Any) -> Any:
            return done(lambda: steps.configure(self), "configure")

        def on_activate(self, state: Any) -> Any:
            return done(steps.activate, "activate")

        def on_deactivate(self, state: Any) -> Any:
            return done(steps.deactivate, "deactivate")

        def on_cleanup(self, state: Any) -> Any:
            return done(steps.clean_up, "clean up")

        def on_shutdown(self, state: Any) -> Any:
            return done(steps.shut_down, "shut down")

    return ManagedNode(name, namespace=namespace, context=context)
