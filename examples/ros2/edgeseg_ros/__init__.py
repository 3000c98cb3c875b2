"""Launches edgeseg as a node of ROS 2."""
