"""Clocks that can be stepped for one process alone: a library that stands before the C library's."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from edgeseg.runtime.clock import now

from .outcome import NotHereError

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *offset_s, *slept_s;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("EDGESEG_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *memory = mmap(0, 2 * sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) offset_s = memory, slept_s = offset_s + 1;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, at);
    if (status || !offset_s) return status;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) at->tv_sec += *offset_s + *slept_s;
    if (clock == CLOCK_BOOTTIME) at->tv_sec += *slept_s;
    return status;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""
"""Stands before the C library's clocks in a process (LD_PRELOAD) and adds what a shared file says:
to the wall clock, and to those that go on while a machine sleeps."""


class SteppedClock:
    """The clocks of the processes that have its environment.

    Args:
        folder: for its files.

    Attributes:
        environment: for a process.

    Raises:
        NotHereError: there is no C compiler.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise NotHereError("there is no C compiler to build the clock with")
        source, library, self._offset = folder / "clock.c", folder / "clock.so", folder / "clock"
        source.write_text(_SOURCE, "utf-8")
        command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self._offset.write_bytes(struct.pack("ll", 0, 0))
        self.environment: Mapping[str, str] = {"LD_PRELOAD": str(library), "EDGESEG_CLOCK": str(self._offset)}

    def step(self, offset_s: int) -> float:
        """Sets the wall clock to so many seconds beside the right time; returns ``edgeseg.now()`` of this process."""
        return self._write(struct.pack("l", offset_s), 0)

    def sleep(self, seconds: int) -> float:
        """Lets the machine have slept, in all, for so many seconds: CLOCK_MONOTONIC stood still. Returns as above."""
        return self._write(struct.pack("l", seconds), struct.calcsize("l"))

    def _write(self, data: bytes, at: int) -> float:
        with self._offset.open("r+b", buffering=0) as file:
            file.seek(at)
            file.write(data)
        return now()
