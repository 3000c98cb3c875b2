"""The preview page: what the camera sees and the network says, in any browser on the network."""
