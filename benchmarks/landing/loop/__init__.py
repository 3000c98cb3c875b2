"""The closed loop: a stand-in vehicle and its autopilot land on what they are told, and a judge looks at the truth."""
