#define _GNU_SOURCE /* O_NOFOLLOW, O_CLOEXEC */

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static edgeseg_status cannot_read(const char *path, Error *error) {
    char reason[128] = "unknown error";
    /* The thread-safe form of strerror, which may give a text of its own. */
    return edgeseg_fail(error, EDGESEG_BUNDLE_REFUSED, "cannot read %s: %s", path,
                        strerror_r(errno, reason, sizeof reason));
}

static edgeseg_status check(const struct stat *status, const char *path, size_t most_bytes, Error *error) {
    if (!S_ISREG(status->st_mode))
        return edgeseg_fail(error, EDGESEG_BUNDLE_REFUSED, "%s is no regular file; export or copy the bundle again", path);
    if (status->st_nlink > 1)
        return edgeseg_fail(error, EDGESEG_BUNDLE_REFUSED,
                            "%s has another name through hard links, through which it could be changed unseen;"
                            " copy the bundle with cp --recursive",
                            path);
    if (status->st_size < 0 || (unsigned long long)status->st_size > most_bytes)
        return edgeseg_fail(error, EDGESEG_BUNDLE_REFUSED,
                            "%s holds %lld bytes, expected at most %zu; copy or export the bundle again", path,
                            (long long)status->st_size, most_bytes);
    return EDGESEG_OK;
}

static edgeseg_status read_open(int file, const char *path, size_t most_bytes, uint8_t **data, size_t *bytes,
                                Error *error) {
    struct stat status;
    if (fstat(file, &status))
        return cannot_read(path, error);
    edgeseg_status refused = check(&status, path, most_bytes, error);
    if (refused)
        return refused;
    size_t size = (size_t)status.st_size, held = 0;
    *data = malloc(size ? size : 1);
    if (!*data)
        return edgeseg_no_memory(error);
    while (held < size) {
        ssize_t count = read(file, *data + held, size - held);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return cannot_read(path, error);
        if (count == 0)
            break; /* it was cut off meanwhile: its SHA-256 will say so */
        held += (size_t)count;
    }
    *bytes = held;
    return EDGESEG_OK;
}

edgeseg_status edgeseg_read_file(const char *path, size_t most_bytes, const char *missing, uint8_t **data,
                                 size_t *bytes, Error *error) {
    *data = NULL;
    *bytes = 0;
    /* O_NONBLOCK, because opening a pipe that nobody writes to would wait for ever. */
    int file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) {
        if (errno == ELOOP)
            return edgeseg_fail(error, EDGESEG_BUNDLE_REFUSED,
                                "%s is a link; a bundle carries its own files: copy it with cp --recursive --dereference",
                                path);
        if (errno == ENOENT || errno == ENOTDIR)
            return edgeseg_fail(error, EDGESEG_BUNDLE_REFUSED, "%s %s", path, missing);
        return cannot_read(path, error);
    }
    edgeseg_status status = read_open(file, path, most_bytes, data, bytes, error);
    close(file);
    if (status) {
        free(*data);
        *data = NULL;
    }
    return status;
}
