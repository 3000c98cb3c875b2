"""Captures in a child process, which is killed where a library hangs, and its libraries' captures."""
