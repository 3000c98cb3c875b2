/* Results of `edgeseg run --shm NAME` in POSIX shared memory, version 3. For C11 and C++11; see docs/outputs.md. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#ifdef __cplusplus
#include <atomic>
#define EDGESEG_ATOMIC(type) std::atomic<type>
#define EDGESEG_ASSERT(truth) static_assert(truth, "layout")
using std::atomic_load_explicit; using std::atomic_thread_fence;
using std::memory_order_acquire; using std::memory_order_relaxed;
#else
#include <stdatomic.h>
#define EDGESEG_ATOMIC(type) _Atomic(type)
#define EDGESEG_ASSERT(truth) _Static_assert(truth, "layout")
#endif

/* Version 1 had times of CLOCK_MONOTONIC, by which a mask from before a suspend looks young; version 2 no landing spot. */
enum { EDGESEG_VERSION = 3 };
enum { EDGESEG_NO_SEARCH = 0, EDGESEG_SPOT = 1, EDGESEG_NO_SPOT = 2 };
enum { EDGESEG_OPEN = 1, EDGESEG_CLOSED = 2, EDGESEG_REPLACED = 3 };

typedef struct {
    char magic[8];              /* "EDGESEG1" */
    uint32_t version;           /* EDGESEG_VERSION */
    uint32_t header_bytes;      /* where slot 0 begins */
    uint64_t total_bytes, slot_bytes;
    uint32_t slots;
    uint32_t max_height, max_width;
    uint32_t class_count;
    uint32_t names_offset, names_bytes;  /* class names, each ended by a zero, in order of their ids */
    uint32_t map_offset;        /* of the class map within a slot: uint8 [height][width], 255 is void */
    uint32_t frame_offset;      /* of the frame: uint8 [height][width][3] BGR; 0 where there is none */
    uint32_t writer_pid;
    EDGESEG_ATOMIC(uint32_t) state;     /* EDGESEG_OPEN, _CLOSED or _REPLACED: open the name again */
    EDGESEG_ATOMIC(uint64_t) heartbeat_ns;  /* CLOCK_BOOTTIME, when the writer last was alive */
    EDGESEG_ATOMIC(uint64_t) newest;    /* results so far; number n lies in slot (n - 1) % slots */
} edgeseg_header;

typedef struct {
    EDGESEG_ATOMIC(uint64_t) sequence;  /* odd while the slot is written */
    uint64_t number;
    int64_t frame_id;
    uint64_t captured_ns, published_ns;  /* CLOCK_BOOTTIME */
    uint32_t height, width;
    uint32_t valid;             /* 0: do not act on it; the class map is void */
    uint32_t reason;            /* why not; 0 where valid. docs/outputs.md has the numbers */
    uint32_t source, has_frame;
    /* A spot is a place whose classes are safe on flat ground: it is blind to slope, wires and untaught surfaces. */
    uint32_t landing;           /* EDGESEG_NO_SEARCH, EDGESEG_SPOT: the only one to act on, or EDGESEG_NO_SPOT */
    uint32_t landing_switches;
    char landing_reason[24];    /* why there is no spot, ended by zeros; docs/landing.md has the words */
    double landing_ground_m[2]; /* north and east of the origin of the vehicle's position; NaN where unknown, as below */
    float landing_frd_m[3];     /* forward, right and down of the vehicle, in its own attitude */
    float landing_uv_px[2];     /* column and row in the frame; it may lie outside */
    float landing_distance_m, landing_clearance_m, landing_required_m, landing_persistence_s;
    uint8_t reserved[12];
} edgeseg_slot;

EDGESEG_ASSERT(offsetof(edgeseg_header, heartbeat_ns) == 72 && offsetof(edgeseg_header, newest) == 80);
EDGESEG_ASSERT(sizeof(edgeseg_slot) == 160 && offsetof(edgeseg_slot, height) == 40);
EDGESEG_ASSERT(offsetof(edgeseg_slot, landing_ground_m) == 96 && offsetof(edgeseg_slot, landing_persistence_s) == 144);

static inline uint64_t edgeseg_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);  /* goes on while the machine sleeps */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Nanoseconds since a moment; 0 where the writer set it after this process looked at the clock. */
static inline uint64_t edgeseg_age_ns(uint64_t at_ns) {
    uint64_t now_ns = edgeseg_now_ns();
    return now_ns > at_ns ? now_ns - at_ns : 0;
}

/* Copies the newest result whole: its head, and its class map (at most `room` bytes).
   Returns its number, or 0 where there is none yet or it was too large. */
static inline uint64_t edgeseg_read(const edgeseg_header *shm, edgeseg_slot *head, uint8_t *classes, size_t room) {
    for (;;) {
        uint64_t newest = atomic_load_explicit(&shm->newest, memory_order_acquire);
        if (newest == 0) return 0;
        edgeseg_slot *slot = (edgeseg_slot *)((char *)shm + shm->header_bytes + (newest - 1) % shm->slots * shm->slot_bytes);
        uint64_t before = atomic_load_explicit(&slot->sequence, memory_order_acquire);
        if (before & 1) continue;
        memcpy((void *)head, (const void *)slot, sizeof *head);
        size_t size = (size_t)head->height * head->width;
        int fits = size <= room && shm->map_offset + size <= shm->slot_bytes;
        if (fits) memcpy(classes, (char *)slot + shm->map_offset, size);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&slot->sequence, memory_order_relaxed) == before) return fits ? head->number : 0;
    }
}
