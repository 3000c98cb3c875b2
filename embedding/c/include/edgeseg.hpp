// edgeseg for C++17: a bundle's network that closes itself, over edgeseg.h, whose rules on threads and processes hold.
//
//     edgeseg::Segmenter segmenter("bundle/lraspp");
//     std::vector<std::uint8_t> classes;
//     segmenter.run({bgr, bytes, width, height, 0}, classes);  // height rows of width class ids
//
// What fails throws edgeseg::Error, which is made here, in the caller's own code: the library throws nothing. Programs
// without exceptions use edgeseg.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "edgeseg.h"

namespace edgeseg {

using Frame = edgeseg_frame;
using Label = edgeseg_label;

/// A call that failed: its status, and the reason as what().
class Error : public std::runtime_error {
public:
    Error(edgeseg_status status, const char *reason) : std::runtime_error(reason), status_(status) {}
    edgeseg_status status() const noexcept { return status_; }

private:
    edgeseg_status status_;
};

/// What may be chosen on opening; empty and zero mean the default, as in edgeseg_options.
struct Options {
    std::string variant;
    std::string onnxruntime;
    std::int32_t threads = 0;
};

/// An open bundle. It can be moved, not copied.
class Segmenter {
public:
    /// Opens a bundle's folder. Throws Error.
    explicit Segmenter(const std::string &bundle, const Options &options = {}) {
        edgeseg_options given = EDGESEG_OPTIONS_INIT;
        given.variant = options.variant.empty() ? nullptr : options.variant.c_str();
        given.onnxruntime = options.onnxruntime.empty() ? nullptr : options.onnxruntime.c_str();
        given.threads = options.threads;
        edgeseg_handle *handle = nullptr;
        edgeseg_status status = edgeseg_open(bundle.c_str(), &given, &handle);
        handle_.reset(handle);
        check(status);
    }

    /// Writes a frame's class map to memory of at least width * height bytes. Throws Error.
    void run(const Frame &frame, std::uint8_t *classes, std::size_t bytes) {
        check(edgeseg_run(handle_.get(), &frame, classes, bytes));
    }

    /// The same, into a vector that is made to fit. It keeps its memory from one frame to the next.
    void run(const Frame &frame, std::vector<std::uint8_t> &classes) {
        bool possible = frame.width > 0 && frame.height > 0 && frame.width <= EDGESEG_MOST_SIDE &&
                        frame.height <= EDGESEG_MOST_SIDE;
        classes.resize(possible ? static_cast<std::size_t>(frame.width) * static_cast<std::size_t>(frame.height) : 1);
        run(frame, classes.data(), classes.size());
    }

    /// The labels in order of their ids. Their names live as long as this object.
    std::vector<Label> labels() const {
        const Label *first = nullptr;
        int count = edgeseg_labels(handle_.get(), &first);
        return std::vector<Label>(first, first + count);
    }

private:
    struct Closer {
        void operator()(edgeseg_handle *handle) const noexcept { edgeseg_close(handle); }
    };

    void check(edgeseg_status status) const {
        if (status == EDGESEG_OK)
            return;
        if (status == EDGESEG_BUSY)
            throw Error(status, "another thread is in this segmenter; give each thread its own");
        throw Error(status, handle_ ? edgeseg_error(handle_.get())
                                    : status == EDGESEG_NO_MEMORY ? edgeseg_error(nullptr)
                                                                  : "this segmenter was moved from");
    }

    std::unique_ptr<edgeseg_handle, Closer> handle_;
};

} // namespace edgeseg
