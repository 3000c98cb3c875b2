"""The fault suite: what goes wrong in flight, brought about in real runs; what they say, and how soon they are back."""
