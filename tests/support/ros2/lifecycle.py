"""Changes the state of a managed node, as ``ros2 lifecycle set`` does: ``lifecycle.py NODE TRANSITION…``.

It prints a line of JSON for each transition: whether it succeeded, and the state after it.
"""

from __future__ import annotations

import json
import sys

import rclpy
from lifecycle_msgs.srv import ChangeState, GetState


def main() -> None:
    rclpy.init(args=[])
    node = rclpy.create_node("commander")
    name = sys.argv[1]
    change = node.create_client(ChangeState, f"{name}/change_state")
    get = node.create_client(GetState, f"{name}/get_state")
    assert change.wait_for_service(20.0)
    assert get.wait_for_service(20.0)
    for word in sys.argv[2:]:
        request = ChangeState.Request()
        request.transition.label = word
        asked = change.call_async(request)
        if word == "shutdown":
            rclpy.spin_until_future_complete(node, asked, timeout_sec=1.0)
            continue  # the node may have gone before it can answer
        rclpy.spin_until_future_complete(node, asked, timeout_sec=20.0)
        told = get.call_async(GetState.Request())
        rclpy.spin_until_future_complete(node, told, timeout_sec=20.0)
        facts = {"success": asked.result().success, "state": told.result().current_state.label}
        print(json.dumps(facts), flush=True)
    node.destroy_node()
    rclpy.try_shutdown()


main()
