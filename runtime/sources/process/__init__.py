"""Captures in a child process, which is killed if a library hangs, and the captures of each library."""
